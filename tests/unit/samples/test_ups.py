"""What we ship for NUT and apcupsd says the right words, and powers the host off whatever lastcall does."""

import itertools
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from samples import ROOT

UPS = ROOT / "contrib" / "ups"
NUT, APCUPSD = UPS / "nut", UPS / "apcupsd"
SCRIPTS = (NUT / "lastcall-ups", *sorted(APCUPSD.iterdir()))


def said_by(
    folder: Path, script: Path, *words: str, env: Mapping[str, str] | None = None, **programs: str
) -> tuple[list[str], int]:
    """Run a script with these programs on its path: what they were called with, and its exit code."""
    fakes = {"lastcall": "", "systemctl": "", "touch": "", "apcaccess": "exit 1", **programs}
    for name, body in fakes.items():
        called = f'echo {name} "$@" >> {folder}/called\n' if name != "apcaccess" else ""
        (folder / name).write_text(f"#!/bin/sh\n{called}{body}\n")
        (folder / name).chmod(0o755)
    (folder / "called").write_text("")
    done = subprocess.run([script, *words], env={"PATH": f"{folder}:/usr/bin:/bin", **(env or {})}, timeout=60)
    return (folder / "called").read_text().splitlines(), done.returncode


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_scripts_satisfy_their_checker(script: Path) -> None:
    done = subprocess.run(["shellcheck", "--norc", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("told", "word"), [("ONLINE", "line"), ("ONBATT", "battery"), ("LOWBATT", "low"), ("FSD", "low"),
                       ("COMMBAD", ""), ("NOPARENT", ""), ("REPLBATT", ""), ("", "")]
)  # fmt: skip
def test_what_upsmon_notifies_of_is_one_of_our_words_with_the_ups_or_nothing(
    tmp_path: Path, told: str, word: str
) -> None:
    env = {"NOTIFYTYPE": told, "UPSNAME": "rack@localhost"}
    called, code = said_by(tmp_path, NUT / "lastcall-ups", "UPS rack@localhost on battery", env=env)
    assert called == ([f"lastcall power {word} --ups rack@localhost"] if word else [])
    assert code == 0


@pytest.mark.parametrize("word", ["line", "battery", "low"])
def test_upssched_says_the_same_by_its_words(tmp_path: Path, word: str) -> None:
    called, _ = said_by(tmp_path, NUT / "lastcall-ups", word, env={"UPSNAME": "rack@localhost"})
    assert called == [f"lastcall power {word} --ups rack@localhost"]
    assert said_by(tmp_path, NUT / "lastcall-ups", word)[0] == [f"lastcall power {word}"]


@pytest.mark.parametrize("lastcall", ["", "exit 70", "kill -9 $$"])
def test_the_host_is_powered_off_whatever_lastcall_does(tmp_path: Path, lastcall: str) -> None:
    called, _ = said_by(tmp_path, NUT / "lastcall-ups", "shutdown", lastcall=lastcall)
    assert called == ["lastcall power low", "systemctl poweroff"]
    called, code = said_by(tmp_path, APCUPSD / "doshutdown", "rack", lastcall=lastcall)
    assert called[-1] == "systemctl poweroff"
    assert called[0] == "lastcall power low --ups rack"
    assert code == 99


def test_where_nothing_can_power_off_apccontrol_does_it_itself(tmp_path: Path) -> None:
    assert said_by(tmp_path, APCUPSD / "doshutdown", "rack", systemctl="exit 1")[1] == 0


@pytest.mark.parametrize(
    ("left", "seconds"),
    [("20.0", 600), ("1.7", 30), ("0.0", 15), ("0.5", 15), ("61.0", 1800), ("999.9", 1800), ("", 90), ("-1.0", 90),
     ("N/A", 90), ("99999999999999999999", 90)],
)  # fmt: skip
def test_apcupsd_announces_half_of_the_time_that_it_claims(tmp_path: Path, left: str, seconds: int) -> None:
    called, _ = said_by(tmp_path, APCUPSD / "doshutdown", "rack", apcaccess=f"echo '{left}'")
    assert called[1] == f"lastcall announce --reason power --deadline {seconds}s"


@pytest.mark.parametrize(("script", "word"), [("onbattery", "battery"), ("offbattery", "line")])
def test_apcupsd_goes_on_with_its_own_after_it_has_told_us(tmp_path: Path, script: str, word: str) -> None:
    for words, name in ((("rack",), "rack"), ((), "apcupsd")):
        called, code = said_by(tmp_path, APCUPSD / script, *words, lastcall="exit 1")
        assert called == [f"lastcall power {word} --ups {name}"]
        assert code == 0


def test_a_secondary_before_2_8_5_goes_down_by_a_file_that_its_path_unit_looks_for(tmp_path: Path) -> None:
    called, _ = said_by(tmp_path, NUT / "lastcall-ups", "shutting down", env={"NOTIFYTYPE": "SHUTDOWN"})
    (file,) = [line.removeprefix("touch ") for line in called]
    folder = NUT / "secondary"
    assert f"PathExists={file}\n" in (folder / "lastcall-secondary.path").read_text()
    service = (folder / "lastcall-secondary.service").read_text()
    assert f"ExecStartPre=/bin/rm -f {file}\n" in service
    assert "ExecStart=/usr/local/sbin/lastcall-ups shutdown\n" in service


def test_every_command_in_the_files_for_nut_is_one_that_the_script_knows() -> None:
    notified: set[str] = set()
    for file in (NUT / "upsmon.conf", *sorted((NUT / "secondary").glob("*.conf"))):
        lines = [shlex.split(line, comments=True) for line in file.read_text().splitlines()]
        given = {words[0]: words[1:] for words in lines if words}
        assert given["SHUTDOWNCMD"] == ["/usr/local/sbin/lastcall-ups shutdown"], file
        assert given["NOTIFYCMD"] == ["/usr/local/sbin/lastcall-ups"], file
        notified |= {words[1] for words in lines if words and words[0] == "NOTIFYFLAG"}
    script = (NUT / "lastcall-ups").read_text()
    known = itertools.chain(*(one.split(" | ") for one in re.findall(r"^\s+([A-Z |]+)\)", script, re.MULTILINE)))
    assert notified == set(known)
    sent = {line.split()[-1] for line in (NUT / "upssched.conf").read_text().splitlines() if line.startswith("AT ")}
    assert sent == {"line", "battery", "low"}

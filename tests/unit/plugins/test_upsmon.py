"""What `check` says of NUT's configuration: each finding from files that have it, and none from those that we ship."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.fake_upsd import fake_upsd
from lastcall import Problem, Run, StopForecast
from lastcall_plugins.power import killpower, power_policy
from lastcall_plugins.power.advice import configured, problems
from lastcall_plugins.power.settings import PowerSettings
from lastcall_plugins.power.timing import timing_problems
from lastcall_plugins.power.upsmon import directives, read_upsmon
from support import run_lastcall, write_config

OURS = Path(__file__).parents[3] / "contrib" / "ups" / "nut"
MONITOR = "MONITOR ups@127.0.0.1:{port} 1 mon pass primary\n"
SECONDARY = MONITOR.replace("primary", "secondary")
SAYS = 'SHUTDOWNCMD "lastcall power low; systemctl poweroff"\n'


class CheckRun:
    """As much of a run as a check of this plugin asks for. `nut`: the version of upsmon that is on its path."""

    def __init__(self, folder: Path, nut: str, settings: PowerSettings | None = None) -> None:
        self._folder, self._settings = folder, settings
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / "upsmon").write_text(f"#!/bin/sh\necho 'Network UPS Tools upsmon {nut}'\n")
        (folder / "bin" / "upsmon").chmod(0o755)

    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self._folder}/bin:/usr/bin:/bin", "NUT_CONFPATH": str(self._folder)}

    def options(self, _: type[PowerSettings]) -> PowerSettings | None:
        return self._settings

    def has_options(self) -> bool:
        return False

    def remaining(self) -> float:
        return 20.0


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., list[Problem]]:
    """Looks at this upsmon.conf, with a UPS that says this, and a stop that usually takes `usual` seconds."""

    def look(
        text: str, *, usual: float = 100, nut: str = "2.8.0", logins: int = 1, says: Mapping[str, str] | None = None,
        **given: Any,
    ) -> list[Problem]:  # fmt: skip
        run = cast("Run", CheckRun(tmp_path, nut))
        values = {"ups.status": "OL", **(says or {})}
        answers = {name: f'VAR ups {name} "{value}"\n'.encode() for name, value in values.items()}
        with fake_upsd({**answers, "ups": f"NUMLOGINS ups {logins}\n".encode()}) as address:
            (tmp_path / "upsmon.conf").write_text(text.format(port=address.port, folder=tmp_path))
            names = given.pop("ups", [f"ups@localhost:{address.port}"])
            settings = PowerSettings.model_validate({"ups": tuple(names), **given})
            found = list(problems(run, settings))
            config, _ = configured(run)
            forecast = StopForecast(
                guests=3, unknown=0, usual=usual, worst=600, last_resort=570, deadline=600, fits=True
            )
            return [*found, *(timing_problems(run, config, forecast) if config else ())]

    return look


def places(found: list[Problem]) -> list[tuple[str, str]]:
    assert all(one.what == "ups" and one.message and one.remedy for one in found)
    return [(one.where.rpartition("/")[2].partition(":")[2].strip() or one.where, one.severity.value) for one in found]


def test_a_host_that_is_set_up_well_or_not_at_all_has_no_findings(look: Callable[..., list[Problem]]) -> None:
    assert look(MONITOR + SAYS) == []
    assert look('MINSUPPLIES 1\nSHUTDOWNCMD "/sbin/shutdown -h +0"\n') == [], "as Debian brings it: it watches nothing"
    assert look("MONITOR ups@127.0.0.1:{port} 0 mon pass primary\n") == [], "a UPS that feeds others"


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ('SHUTDOWNCMD "/sbin/shutdown -h +0"', False), ("", False), ("SHUTDOWNCMD {folder}/script", True),
        ('SHUTDOWNCMD "{folder}/script now"', True), ("SHUTDOWNCMD {folder}/silent", False),
        ("SHUTDOWNCMD {folder}/nowhere", False), ("SHUTDOWNCMD /usr/local/sbin/lastcall-ups\\ shutdown", False),
        ('SHUTDOWNCMD "lastcall announce --reason power --deadline 60s; poweroff"', True),
        ('# SHUTDOWNCMD "lastcall power low"', False),
        ('SHUTDOWNCMD "lastcall power low"\nSHUTDOWNCMD poweroff', False),
        ("SHUTDOWNCMD poweroff\nNOTIFYCMD {folder}/script\nNOTIFYFLAG LOWBATT SYSLOG+EXEC", True),
        ("SHUTDOWNCMD poweroff\nNOTIFYCMD {folder}/script\nNOTIFYFLAG ONBATT EXEC", False),
        ("SHUTDOWNCMD poweroff\nNOTIFYCMD {folder}/script\nNOTIFYFLAG LOWBATT EXEC\nNOTIFYFLAG LOWBATT WALL", False),
        ("SHUTDOWNCMD poweroff\nNOTIFYCMD /sbin/upssched\nNOTIFYFLAG LOWBATT EXEC", True),
        ("SHUTDOWNCMD poweroff\nNOTIFYCMD /sbin/upssched\nNOTIFYFLAG ONLINE EXEC", False),
    ],
)  # fmt: skip
def test_a_shutdowncmd_that_tells_lastcall_nothing_is_a_warning(
    tmp_path: Path, look: Callable[..., list[Problem]], text: str, *, tells: bool
) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\ntimeout 10 lastcall power low\nsystemctl poweroff\n")
    (tmp_path / "silent").write_text("#!/bin/sh\n# lastcall power low\nsystemctl poweroff\n")
    (tmp_path / "upssched.conf").write_text(f"CMDSCRIPT {tmp_path}/script\nAT LOWBATT * EXECUTE low\n")
    assert places(look(MONITOR + text + "\n")) == ([] if tells else [("SHUTDOWNCMD", "warning")])


def test_a_low_battery_that_is_told_of_later_than_guests_need_is_a_warning(look: Callable[..., list[Problem]]) -> None:
    for low, found in {"120": [], "99": [("battery.runtime.low", "warning")], "0": [], "": []}.items():
        seen = look(MONITOR + SAYS, says={"battery.runtime.low": low})
        assert [(one.where.partition(": ")[2], one.severity.value) for one in seen] == found


def test_a_power_that_is_cut_while_guests_stop_is_an_error(look: Callable[..., list[Problem]]) -> None:
    cuts = MONITOR + 'SHUTDOWNCMD "lastcall power low; upsdrvctl shutdown; systemctl poweroff"\n'
    (found,) = look(cuts, says={"ups.delay.shutdown": "20"})
    assert found.severity.value == "error"
    assert look(cuts, says={"ups.delay.shutdown": "180"}) == []
    assert look(MONITOR + SAYS, says={"ups.delay.shutdown": "20"}) == [], "NUT's own unit does it last"


def test_a_primary_that_does_not_wait_for_other_hosts_is_a_warning_where_there_are_any(
    look: Callable[..., list[Problem]],
) -> None:
    assert look(MONITOR + SAYS, logins=1) == []
    assert places(look(MONITOR + SAYS, logins=2)) == [("HOSTSYNC", "warning")]
    assert look(MONITOR + SAYS + "HOSTSYNC 101\n", logins=2) == []


NOTIFIES = "NOTIFYCMD /x\nNOTIFYFLAG SHUTDOWN EXEC\n"


@pytest.mark.parametrize(
    ("nut", "text", "where"),
    [
        ("2.8.0", "", "FINALDELAY"), ("2.8.0", NOTIFIES, "FINALDELAY"), ("2.8.0", "FINALDELAY 600\n", "NOTIFYCMD"),
        ("2.8.0", NOTIFIES + "FINALDELAY 600\n", ""), ("2.8.0", NOTIFIES + "FINALDELAY 99\n", "FINALDELAY"),
        ("2.8.4", "SHUTDOWNEXIT no\n", "FINALDELAY"), ("2.8.5", "SHUTDOWNEXIT no\n", ""),
        ("2.8.5", "", "SHUTDOWNEXIT"), ("2.8.5", "SHUTDOWNEXIT yes\n", "SHUTDOWNEXIT"),
        ("2.8.5", "SHUTDOWNEXIT 600\n", ""), ("2.8.5", "SHUTDOWNEXIT 20\n", "SHUTDOWNEXIT"),
        ("2.9.0", "SHUTDOWNEXIT no\n", ""), ("2.8.5", NOTIFIES + "FINALDELAY 600\n", ""),
        ("2.10.1", "", "SHUTDOWNEXIT"),
    ],
)  # fmt: skip
def test_a_secondary_whose_power_may_go_under_its_guests_is_an_error(
    look: Callable[..., list[Problem]], nut: str, text: str, where: str
) -> None:
    for kind in ("secondary", "slave"):
        found = look(MONITOR.replace("primary", kind) + SAYS + text, nut=nut, logins=2)
        assert places(found) == ([(where, "error")] if where else [])


@pytest.mark.parametrize(("conf", "flag"), [("", "other"), ("POWERDOWNFLAG {folder}/flag\n", "flag"), (None, "other")])
def test_a_power_off_whose_ups_is_going_to_cut_the_power_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: str | None, flag: str
) -> None:
    """By NUT's flag, where upsmon.conf has it, or where upsmon has it by itself, and by apcupsd's."""
    monkeypatch.setattr(killpower, "KILLPOWER", str(tmp_path / "other"))
    monkeypatch.setattr(killpower, "POWERFAIL", tmp_path / "powerfail")
    run = cast("Run", CheckRun(tmp_path, "2.8.0", PowerSettings(power_returns="reboot")))
    if conf is not None:
        (tmp_path / "upsmon.conf").write_text(conf.format(folder=tmp_path))
    assert power_policy(run).power_returns == "reboot"
    for name in (flag, "powerfail"):
        (tmp_path / name).touch()
        assert power_policy(run).power_returns == "stay"
        (tmp_path / name).unlink()


def test_a_secondary_that_reboots_in_the_middle_of_it_is_a_warning(look: Callable[..., list[Problem]]) -> None:
    ready = SAYS + "FINALDELAY 600\nSHUTDOWNEXIT no\n"
    found = look(SECONDARY + ready, nut="2.8.5", power_returns="reboot")
    assert [one.where for one in found] == ["plugins.power.power_returns"]
    assert look(SECONDARY + ready, nut="2.8.5") == look(MONITOR + ready, power_returns="reboot") == []


def test_upses_that_only_one_of_both_knows_are_told(look: Callable[..., list[Problem]]) -> None:
    assert [one.where for one in look(MONITOR + SAYS, ups=[])] == ["plugins.power.ups"]
    both = look(MONITOR + SAYS + "MONITOR b@127.0.0.1:{port} 1 mon pass primary\n")
    assert ["b@127.0.0.1" in one.message for one in both] == [True]
    assert [one.where for one in look(MONITOR + SAYS + "MINSUPPLIES 2\n")] == ["plugins.power.supplies"]


def test_a_ups_that_does_not_answer_is_a_warning(look: Callable[..., list[Problem]]) -> None:
    (found,) = look(MONITOR + SAYS, says={"ups.status": "OFF"})
    assert "does not answer" in found.message
    assert found.severity.value == "warning"


@pytest.mark.parametrize("file", ["upsmon.conf", "secondary/upsmon.conf", "secondary/upsmon-before-2.8.5.conf"])
def test_in_what_we_ship_nothing_is_found(tmp_path: Path, look: Callable[..., list[Problem]], file: str) -> None:
    shutil.copy(OURS / "lastcall-ups", tmp_path)
    text = (OURS / file).read_text().replace("/usr/local/sbin", str(tmp_path)).replace("# HOSTSYNC", "HOSTSYNC")
    nut = "2.8.0" if "before" in file else "2.8.5"
    assert look((SECONDARY if "secondary" in file else MONITOR) + text, nut=nut, logins=2) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('A "b c" d', ["A", "b c", "d"]), ("A b\\ c", ["A", "b c"]), ('A "b \\"c\\""', ["A", 'b "c"']),
        ("A b # c", ["A", "b"]), ('A "b # c"', ["A", "b # c"]), ("A \\\n b", ["A", "b"]), ("\t A\tb\r\n", ["A", "b"]),
        ('A ""', ["A", ""]), ("A b#c", ["A", "b"]),
    ],
)  # fmt: skip
def test_words_are_read_as_nut_reads_them(text: str, words: list[str]) -> None:
    assert list(directives(text)) == [words]


@given(st.text(alphabet='AM #"\\\n\t=x1+@', max_size=60))
def test_no_configuration_of_nuts_raises(text: str) -> None:
    assert all(words for words in directives(text))


def test_what_cannot_be_read_is_told_by_the_check_of_the_program_and_what_is_wrong_too(tmp_path: Path) -> None:
    nut = tmp_path / "nut"
    nut.mkdir()
    environment = f"hooks: {{environment: {{NUT_CONFPATH: {nut}}}}}\n"
    (nut / "upsmon.conf").write_bytes(b"MONITOR \xff\xfe")
    config = write_config(tmp_path, "test:///default", more=environment)
    assert "ups" in run_lastcall(config, "check").stdout
    (nut / "upsmon.conf").write_text("MONITOR ups@127.0.0.1:1 1 mon pass secondary\nSHUTDOWNCMD poweroff\n")
    told = run_lastcall(config, "check").stdout
    assert "tells lastcall nothing" in told
    assert read_upsmon(nut).secondary

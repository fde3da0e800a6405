"""What other commands tell a run that is under way, each as a process of its own, and what that answers them."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import cast

import pytest

from lab.patience import LONGEST, wait_until
from lastcall.formats.quantities import parse_duration
from support import AWAKE, PROGRAM, run_lastcall, start_and_wait_for, waiting_guests, waits_for, write_config

WORLD = "test:///default"
LIMITS = """\
shutdown: {deadline: 200s, reserve: 3s, grace: 2s, by_reason: {manual: {deadline: 500s}}}
hooks: {timeout: 5min}
"""
JOBS = "#!/bin/sh\necho 1 poweroff.target start waiting\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a host that systemd powers off, and whose guest is not asked before the file `go` is there."""
    (tmp_path / "systemctl").write_text(JOBS)
    (tmp_path / "systemctl").chmod(0o755)
    made = write_config(tmp_path, WORLD, more=LIMITS)
    (tmp_path / "hooks.d" / "10-waits.py").write_text(waits_for(tmp_path / "go"))
    return made


def from_unit(config: Path, **environment: str) -> "subprocess.Popen[str]":
    """The stop of the unit."""
    path = f"{config.parent}:{os.environ['PATH']}"
    command = [*AWAKE, str(PROGRAM), "--config", str(config), "shutdown", "--from-unit"]
    given = {**os.environ, "PATH": path, **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given)


def told(config: Path, *words: str) -> tuple[str, float]:
    """What a command prints of the run's answer, and how many seconds the run still has by it."""
    done = run_lastcall(config, *words)
    assert done.stderr == ""
    answer, _, left = done.stdout.partition("under way answers: ")[2].partition("\n")[0].partition(", over within ")
    return answer, cast("float", parse_duration(left)) if left else 0.0


def has_begun(config: Path, reason: str) -> bool:
    """Whether a run has this reason by now."""
    lock = config.parent / "run" / "lock"
    return lock.exists() and f'"{reason}"' in lock.read_text()


def test_a_host_stop_that_joined_a_run_by_hand_waits_for_it_as_long_as_it_may_take_by_all_that_it_is_told(
    config: Path, tmp_path: Path
) -> None:
    by_hand = start_and_wait_for(config, "on_guest_stop", "-v", "shutdown", "--json")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        run_lastcall(config, "announce", "--reason", "power", "--deadline", "12s")
        began = time.monotonic()
        stop = from_unit(config, NOTIFY_SOCKET=str(tmp_path / "notify"))
        wait_until(lambda: has_begun(config, "power"), "the host stop has joined", pause=0.02)
        answer, left = told(config, "announce", "--reason", "power", "--deadline", "100s")
        assert answer == "for power"
        assert 90 < left <= 100
        answer, left = told(config, "announce", "--cancel")
        assert answer == "for power"
        assert 180 < left <= 200, "what the stop has without it; by hand it had more, of which the host knows nothing"
        time.sleep(max(0.0, began + 13.5 - time.monotonic()))
        (tmp_path / "go").touch()
        out, _ = by_hand.communicate(timeout=LONGEST)
        _, said = stop.communicate(timeout=LONGEST)
        systemd.setblocking(False)
        words = systemd.recv(1 << 16).decode()
    assert (by_hand.returncode, stop.returncode) == (0, 0), said
    assert json.loads(out)["run"]["reason"] == "power"
    assert "kills" not in said
    assert len(list((tmp_path / "state" / "runs").glob("*.jsonl"))) == 1, "nothing was left to do"
    assert words.startswith("STATUS=another run stops the guests · ")
    assert "EXTEND_TIMEOUT_USEC=" in words


def test_each_word_about_the_power_reaches_the_stop_of_the_unit_and_prints_what_that_answers(
    config: Path, tmp_path: Path
) -> None:
    run_lastcall(config, "power", "low")
    stop = from_unit(config)
    wait_until(lambda: has_begun(config, "power"), "it has begun", pause=0.02)
    told_so = [
        told(config, *words.split())
        for words in ("power battery", "power line", "power battery", "power low", "announce --cancel")
    ]
    assert [answer for answer, _ in told_so] == [
        "for power", "the host stops all the same, for poweroff", "", "for power", "for power",
    ]  # fmt: skip
    low, back, _, again, cancelled = (left for _, left in told_so)
    assert low <= 90, "a battery that carries is no reason to take more time"
    assert again <= 90
    assert 150 < min(back, cancelled) <= max(back, cancelled) <= 200
    (tmp_path / "go").touch()
    _, said = stop.communicate(timeout=LONGEST)
    assert stop.returncode == 0, said
    assert waiting_guests(tmp_path / "state") == ["test"]


def test_a_run_for_want_of_power_that_nothing_has_told_systemd_of_turns_round_and_back_again(
    config: Path, tmp_path: Path
) -> None:
    run = start_and_wait_for(config, "on_guest_stop", "-v", "shutdown", "--reason", "power", "--json")
    turned = "it turns round: nobody else is asked, and who was asked is waited for"
    for word, answer in (("line", turned), ("battery", "for power"), ("line", turned)):
        assert told(config, "power", word)[0] == answer
    (tmp_path / "go").touch()
    out, _ = run.communicate(timeout=LONGEST)
    (guest,) = json.loads(out)["guests"]
    assert (guest["outcome"], guest["message"]) == ("skipped", "the mains were back before it was asked")

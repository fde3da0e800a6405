"""What somebody announces of a host stop that is still to come."""

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from lastcall import Guest, Reason
from lastcall.persistence.announcement import NoticeBoard, announce
from lastcall.persistence.mailbox import Answer, Request
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


def test_an_announcement_counts_for_this_boot_until_its_time_is_over(tmp_path: Path) -> None:
    board = NoticeBoard(tmp_path)
    assert board.read() is None
    board.put(announce(Reason.POWER, 90))
    found = board.read()
    assert found
    assert found.reason == "power"
    assert 88 < (found.left() or 0) <= 90
    content = json.loads(board.path.read_text())
    for wrong in ({"boot": "another"}, {"until": 0.0}, {"reason": "nonsense"}, {"ends": None, "until": "x"}):
        board.path.write_text(json.dumps({**content, **wrong}))
        assert board.read() is None, wrong
    board.path.write_text("{")
    assert board.read() is None
    assert board.cancel()
    assert not board.cancel()


def test_only_a_host_stop_that_is_under_way_hears_an_announcement(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    assert not lock.tell(Request("power", 1.0)), "nobody is there"
    for kind, reason in (("restore", "boot"), ("shutdown", "manual")):
        holder = RunLock(tmp_path)
        holder.take(Holder(kind, reason, os.getpid()))
        assert not lock.tell(Request("power", 1.0)), "no host stop"
        holder.release()
    holder = RunLock(tmp_path)
    with lock.path.open() as held:
        sleeper = subprocess.Popen(["sleep", "60"], stdin=held)
    heard: list[Request] = []

    over = threading.Event()

    def take(request: Request) -> Answer:
        heard.append(request)
        return Answer(accepted=False, message="no")

    def answer() -> None:
        while not heard and not over.wait(0.02):
            holder.heed(take)

    holder.take(Holder("shutdown", "poweroff", sleeper.pid))
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert lock.tell(Request("power", 7.0, announced=True)) == Answer(accepted=False, message="no")
    finally:
        over.set()
        thread.join()
        sleeper.wait()  # the signal has ended it
        holder.release()
    assert heard == [Request("power", 7.0, announced=True)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"], "nothing is left behind"


MAINS_BACK, MAINS_GONE = Request("", mains="back"), Request("", mains="gone")
LOW = Request("power", 7.0, announced=True)


@pytest.mark.parametrize(
    ("run", "request_", "hears"),
    [
        ("shed", MAINS_BACK, True),
        ("shed", MAINS_GONE, True),
        ("shed", LOW, True),
        ("shed", Request("reboot", 7.0, announced=True), False),
        ("shed", Request("", announced=True), False),
        ("power", MAINS_BACK, True),
        ("power", MAINS_GONE, True),
        ("poweroff", MAINS_BACK, True),
        ("manual", MAINS_BACK, False),
        ("manual", MAINS_GONE, False),
        ("drill", MAINS_BACK, False),
        ("drill", MAINS_GONE, False),
        ("restore shed", LOW, True),
        ("restore shed", MAINS_GONE, False),
        ("restore shed", Request("reboot", 7.0, announced=True), False),
        ("restore manual", LOW, False),
    ],
)
def test_of_the_power_a_run_hears_that_has_to_do_with_it(
    tmp_path: Path, run: str, request_: Request, *, hears: bool
) -> None:
    kind, reason = run.split() if " " in run else ("shutdown", run)
    lock, holder = RunLock(tmp_path), RunLock(tmp_path)
    holder.take(Holder(kind, reason, os.getpid()))
    with lock.path.open() as held:
        sleeper = subprocess.Popen(["sleep", "60"], stdin=held)
    holder.release()
    holder.take(Holder(kind, reason, sleeper.pid))
    heard: list[Request] = []
    over = threading.Event()

    def take(request: Request) -> Answer:
        heard.append(request)
        return Answer(accepted=True, message="yes")

    def answer() -> None:
        while not heard and not over.wait(0.02):
            holder.heed(take)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        told = lock.tell(request_)
    finally:
        over.set()
        thread.join()
        sleeper.kill()
        sleeper.wait()
        holder.release()
    assert (told == Answer(accepted=True, message="yes")) == hears
    assert heard == ([request_] if hears else [])

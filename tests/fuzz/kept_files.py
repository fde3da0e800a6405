"""Readers of the files that lastcall keeps, and of what other processes leave for it."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from fuzz.configurations import GUEST, text_of
from fuzz.folders import fresh_folder
from lastcall import Reason
from lastcall.formats.json_text import to_json
from lastcall.installation.takeover import GuestsList, adopt
from lastcall.persistence.announcement import Announcement, NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.last_line import AskedByVirsh
from lastcall.persistence.last_look import LastLook, Seen
from lastcall.persistence.mailbox import Answer, Mailbox, Request
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Cause, Entry
from lastcall.planning.history import History
from lastcall.report.run_history import PastRun, as_story, latest, past_runs
from lastcall.report.run_list import run_table
from lastcall.report.text import report_json
from lastcall.report.unseen import SeenRuns
from lastcall.systemd.jobs import reason_of
from lastcall_plugins.notify.earlier import Earlier, LastErrors
from lastcall_plugins.notify.messages import Unsent, Waiting

BOOT = "@BOOT@"  # in an input: the id of this boot
PID = 4242  # the process that asks


def kept(name: str, data: bytes) -> Path:
    folder = fresh_folder()
    (folder / name).write_bytes(data.replace(BOOT.encode(), boot_id().encode()))
    return folder


def read_state(data: bytes) -> StateFile:
    state = StateFile(kept("state.json", data))
    state.load()
    return state


def is_a_list_of_guests(found: StateFile) -> None:
    for key, entry in (*found.entries.items(), *found.returned.items()):
        assert key == entry.guest.key
        _fits(entry)
    for boot in (found.boot, found.previous_boot, found.restored_in):
        assert boot is None or isinstance(boot, str)
    before = dict(found.entries)
    found.make_due("boot", "run")
    found.entries = before
    found.path.write_text(found._render(), encoding="utf-8", errors="backslashreplace")  # pyright: ignore[reportPrivateUsage]
    found.load()
    assert len(found.entries) == len(before)


def _fits(entry: Entry) -> None:
    texts = (entry.uri, entry.uuid, entry.name, entry.driver, entry.run, entry.boot_id, entry.since)
    assert all(type(text) is str for text in texts)
    signs = (entry.due, entry.parked, entry.left, entry.restarts, entry.bad_image, entry.autostart)
    assert all(type(sign) is bool for sign in signs)
    assert type(entry.where) is tuple
    assert all(type(uri) is str and uri for uri in entry.where)
    assert entry.cause in get_args(Cause)


def read_history(data: bytes) -> History:
    history = History(kept("history.json", data))
    history.load()
    return history


def has_usual_times(found: History) -> None:
    guests: dict[str, Any] = json.loads(found.render())["guests"]
    for name in guests:
        uri, _, uuid = name.rpartition(" ")
        for usual in (found.usual((uri, uuid)), found.usual_call("on_guest_stop", "x", (uri, uuid))):
            assert usual is None or 0 <= usual.seconds <= usual.longest < math.inf
    found.learn([])


def read_announcement(data: bytes) -> Announcement | None:
    return NoticeBoard(kept("announcement.json", data)).read()


def is_an_announcement_or_none(found: Announcement | None) -> None:
    if found:
        assert Reason(found.reason)
        left = found.left()
        assert left is None or 0 <= left < math.inf


def read_stamp(data: bytes) -> BootStamp:
    return BootStamp(kept("on-duty", data))


def is_on_or_off(found: BootStamp) -> None:
    assert found.on in {True, False}
    assert 0 <= found.left < math.inf


def read_last_look(data: bytes) -> dict[Any, Seen]:
    return LastLook(kept("last-look.json", data)).recall([GUEST.key])


def has_texts_of_metadata(found: dict[Any, Seen]) -> None:
    for seen in found.values():
        assert all(type(text) is str for text in (*seen.metadata, *seen.metadata.values(), seen.day))


def read_mailbox(data: bytes) -> tuple[tuple[Request, int] | None, Answer | None]:
    import os

    folder = kept("join.json", data)
    (folder / "answer.json").write_bytes(data.replace(str(PID).encode(), str(os.getpid()).encode()))
    mailbox = Mailbox(folder)
    return mailbox.request(), mailbox.answer()


def is_a_request_and_an_answer(found: tuple[tuple[Request, int] | None, Answer | None]) -> None:
    asked, answer = found
    if asked:
        request, process = asked
        assert type(process) is int
        assert request.ends is None or math.isfinite(request.ends)
        assert type(request.reason) is str
    if answer:
        assert type(answer.message) is str
        assert all(type(uri) is str for uri in answer.connections)


def read_asked_by_virsh(data: bytes) -> StateFile:
    folder = kept("asked-by-virsh", data)
    state = StateFile(folder)
    AskedByVirsh(folder).take_over(state)
    return state


def read_libvirt_guests_list(data: bytes) -> StateFile:
    state = StateFile(fresh_folder())
    adopt(GuestsList(text_of(data), 1_700_000_000.0, 1_700_000_001.0), state, {})
    return state


def read_run_log(data: bytes) -> list[PastRun]:
    folder = kept("20261126T000000-1.jsonl", data)
    return list(past_runs(folder))


def can_be_told(found: list[PastRun]) -> None:
    for run in found:
        shown = as_story(run) + run_table([run])
        assert all(one == "\n" or one.isprintable() or one in "\xa0\u200c\u200d\u202f\u3000" for one in shown)
        json.loads(report_json(run.report))
        json.loads(to_json({"complete": run.complete, **asdict(run.report)}))
    assert len(latest(iter(found))) <= 1


def read_seen(data: bytes) -> SeenRuns:
    return SeenRuns(kept("seen.json", data))


def is_seen_by_somebody_or_nobody(found: SeenRuns) -> None:
    last = found.last()
    assert last is None or (isinstance(last.by, str) and isinstance(last.at, str))
    assert found.unseen() == []


def read_unsent(data: bytes) -> list[Waiting]:
    unsent = Unsent(kept("1700000000000-0000000a-all.json", data), keep=math.inf)
    found = unsent.everything()
    unsent.share_out(["0000000b", "0000000c"])
    assert len(unsent.everything()) == 2 * len(found)
    return found


def are_messages(found: list[Waiting]) -> None:
    for one in found:
        assert all(type(text) is str for text in (one.why, *asdict(replace(one.message, written="")).values()))
        assert one.message.late().title.startswith(one.message.title)


def read_told_before(data: bytes) -> tuple[str, tuple[list[str], list[str]]]:
    folder = kept("shutdown.json", data)
    (folder / "checked.json").write_bytes(data)
    return Earlier(folder).text(), LastErrors(folder).differ(["db: no agent answers"])


def are_texts(found: tuple[str, tuple[list[str], list[str]]]) -> None:
    earlier, (new, over) = found
    assert all(type(text) is str for text in (earlier, *new, *over))


def read_jobs(data: bytes) -> Reason | None:
    return reason_of(text_of(data))


def is_a_reason_or_none(found: Reason | None) -> None:
    assert found is None or not found.voluntary

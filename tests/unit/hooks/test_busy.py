"""`guest_busy`: what counts as an answer, and that no host stop waits for one."""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

import lastcall
from lastcall import CallExpired, Guest, HookFailed, Outcome, Reason, Report, Run, Skip
from lastcall.guests.busy.busy_guests import AT_ONCE, BusyGuests
from lastcall.runs.shutdown import Shutdown
from lastcall.testing import Lab
from lastcall.testing.memory import FakeGuest, FakeHypervisor, Hangs, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name

HOST_STOP = Reason.POWEROFF


class Asked:
    """Is asked who is busy, and gives this answer."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer
        self.guests: list[str] = []

    @lastcall.hookimpl
    def guest_busy(self, guest: Guest) -> Any:
        self.guests.append(guest.name)
        return self._answer()


def raises(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def lines(*texts: str) -> Callable[[], Iterable[str]]:
    def answer() -> Iterable[str]:
        yield from texts

    return answer


def busy(report: Report) -> dict[str, str]:
    return {one.where: one.message for one in report.problems if one.what == "busy"}


@pytest.mark.parametrize("reason", [Reason.MANUAL, HOST_STOP])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: ["a backup", "an update"], "a backup; an update"),
        (lambda: ("a backup",), "a backup"),
        (lines("one", "two"), "one; two"),
        (lines(*["x"] * 50), "; ".join(["x"] * 10)),
        (lambda: ["x" * 5000], None),
        (list[str], ""), (lambda: None, ""), (lambda: [""], ""), (lines(), ""), (raises(Skip("no")), ""),
    ],
)  # fmt: skip
def test_a_guest_is_busy_for_the_reasons_that_are_given_and_is_stopped_all_the_same(
    tmp_path: Path, answer: Callable[[], Any], told: str | None, reason: Reason
) -> None:
    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins={"asked": Asked(answer)}, reason=reason)
    found = busy(report)
    assert found == ({"g": told} if told else {}) or (told is None and len(found["g"]) < 300)
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert report.run.exit_code == 0, "a warning"


@pytest.mark.parametrize(
    "answer",
    [lambda: "a backup", lambda: True, lambda: [1], lambda: [b"a"], lambda: ["a", None],
     raises(ValueError("no")), raises(HookFailed("no")), raises(SystemExit(1)), raises(KeyboardInterrupt())],
)  # fmt: skip
def test_what_is_no_answer_is_its_plugins_failure_and_makes_nobody_busy(
    tmp_path: Path, answer: Callable[[], Any]
) -> None:
    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins={"asked": Asked(answer)})
    (call,) = by_name(report, "g").hooks
    assert (call.hook, call.result) == ("guest_busy", "failed")
    assert busy(report) == {}
    assert by_name(report, "g").outcome is Outcome.STOPPED


@pytest.mark.parametrize("config", ["", "guests: [{match: g, depends_on: other}]", "shutdown: {parallel: 1}"])
def test_no_host_stop_waits_for_an_answer_and_what_comes_too_late_is_nobodys_failure(
    tmp_path: Path, config: str
) -> None:
    def stop(folder: str, **plugins: object) -> Report:
        (tmp_path / folder).mkdir()
        guests = [FakeGuest("g", takes=3), FakeGuest("other", takes=2)]
        return run_shutdown(tmp_path / folder, guests, plugins=plugins, config=config, reason=HOST_STOP)

    hangs, without = stop("hangs", asked=Asked(raises(Hangs()))), stop("without")
    assert hangs.run.exit_code == 0
    assert {one.name: (one.outcome, one.asked) for one in hangs.guests} == {
        one.name: (one.outcome, one.asked) for one in without.guests
    }
    assert hangs.run.duration == without.run.duration
    assert [one.hooks for one in hangs.guests] == [(), ()]


def test_in_a_host_stop_the_question_is_over_when_something_is_done_to_the_guest(tmp_path: Path) -> None:
    expired: list[bool] = []

    class Both:
        @lastcall.hookimpl
        def guest_busy(self, run: Run) -> list[str]:
            self.run = run
            raise Hangs

        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            try:
                self.run.remaining()
            except CallExpired:
                expired.append(True)

    run_shutdown(tmp_path, [FakeGuest("g")], plugins={"both": Both()}, reason=HOST_STOP)
    assert expired == [True]


def test_a_run_by_hand_says_it_before_it_asks_anybody_and_waits_some_seconds_at_most(tmp_path: Path) -> None:
    guests, seen = [FakeGuest("slow"), FakeGuest("busy")], list[bool]()

    def answer() -> list[str]:
        seen.append(any(one.asked for one in guests))
        if asked.guests[-1] == "slow":
            raise Hangs
        return ["a backup"]

    asked = Asked(answer)

    report = run_shutdown(tmp_path, guests, plugins={"asked": asked})
    assert seen == [False, False]
    assert busy(report) == {"busy": "a backup"}
    assert all((one.asked or 0.0) == pytest.approx(10.0, abs=0.1) for one in report.guests)


@pytest.mark.parametrize("how", ["a signal", "a host stop"])
def test_whoever_ends_a_run_by_hand_or_joins_it_does_not_wait_for_an_answer(tmp_path: Path, how: str) -> None:
    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        if how == "a signal":
            hypervisor.loop.call_later(1, run.interrupt)
        else:
            hypervisor.loop.call_later(1, run.join, Reason.POWER, Deadline.after(1, 60, reserve=10, grace=5))

    plugins = {"asked": Asked(raises(Hangs()))}
    report = run_shutdown(tmp_path, [FakeGuest("g", takes=1)], plugins=plugins, meanwhile=meanwhile)
    assert report.run.duration < 4
    assert by_name(report, "g").outcome is (Outcome.SKIPPED if how == "a signal" else Outcome.STOPPED)


def test_guests_that_are_left_alone_are_not_asked_about(tmp_path: Path) -> None:
    asked = Asked(lines())
    run_shutdown(
        tmp_path, [FakeGuest("g"), FakeGuest("theirs")], plugins={"asked": asked},
        config="guests: [{match: theirs, manage: false}]",
    )  # fmt: skip
    assert asked.guests == ["g"]


INHIBITORS = (
    'a(ssssuu) 3 "shutdown:sleep" "backup \\"nightly\\"" "writes to tape" "block" 0 12 '
    '"sleep" "a player" "plays" "block" 0 13 "shutdown" "a desktop" "asks" "delay" 1000 14'
)
ALLOWED = [{"name": name, "enabled": True} for name in ("guest-exec", "guest-exec-status", "guest-get-osinfo")]


def answers(output: str, *, system: str = "debian", allowed: Any = ALLOWED) -> Mapping[str, Any]:
    """What a real agent says that runs a command with this output."""
    return {
        "guest-info": {"supported_commands": allowed},
        "guest-get-osinfo": {"id": system},
        "guest-exec": {"pid": 7},
        "guest-exec-status": {"exited": True, "exitcode": 0, "out-data": base64.b64encode(output.encode()).decode()},
    }


def by_agent(folder: Path, said: Mapping[str, Any], *, reason: Reason = Reason.MANUAL, **rule: Any) -> tuple[Any, Any]:
    """What the guest is said to be busy with, and the commands that its agent was given."""
    lab = Lab(folder, plugins={})
    guest = lab.guest("g", settings=rule)
    guest.agent_answers(said)
    lab.guest("before", takes=20.0, settings={"depends_on": ["g"]})  # a host stop waits for no answer, but for this
    return busy(lab.shutdown(reason=reason)).get("g", ""), [command for command, _ in guest.agent_calls]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("runs apt-get\n", "an update or an installation is under way (apt-get)"),
        ("runs dpkg\nruns dpkg\n", "an update or an installation is under way (dpkg)"),
        ("locked /a/lock\n", "packages are being installed (/a/lock is held)"),
        (INHIBITORS, 'backup "nightly" blocks its shutdown: writes to tape'),
        ("a(ssssuu) 0\n", ""),
        ("", ""),
        ('a(ssssuu) 9 "shutdown" "cut', ""),
        ("whatever else\n\x00\n", ""),
        ("offline\n", "its next start installs updates (/system-update)"),
    ],
)  # fmt: skip
def test_an_agent_that_may_run_commands_tells_what_its_system_is_in_the_middle_of(
    tmp_path: Path, said: str, told: str
) -> None:
    found, calls = by_agent(tmp_path, answers(said))
    assert found == told
    assert calls.count("guest-exec") == 1


def test_a_windows_guest_is_asked_in_its_own_language(tmp_path: Path) -> None:
    scripts: list[Any] = []

    def run(arguments: Mapping[str, Any]) -> Any:
        scripts.append(arguments)
        return {"pid": 7}

    said = {**answers("runs TrustedInstaller\r\nwindows\r\n", system="mswindows"), "guest-exec": run}
    found, _ = by_agent(tmp_path, said)
    assert "(TrustedInstaller)" in found
    assert "Windows Update waits for a reboot" in found
    assert scripts[0]["path"] == "powershell.exe"


@pytest.mark.parametrize(
    "said",
    [
        answers("runs dnf", allowed=[{"name": "guest-exec", "enabled": False}]),
        answers("runs dnf", allowed="nothing"),
        {**answers("runs dnf"), "guest-info": lastcall.HypervisorError("no answer")},
        {**answers("runs dnf"), "guest-get-osinfo": ["odd"]},
        {**answers("runs dnf"), "guest-exec": lastcall.HypervisorError("refused")},
        {**answers("runs dnf"), "guest-exec-status": {"exited": True, "exitcode": 0, "out-data": 7}},
        {**answers("runs dnf"), "guest-exec-status": {"exited": False}},
    ],
    ids=["not allowed", "says nothing of use", "silent", "an odd system", "refused", "odd output", "never ends"],
)
def test_where_the_agent_cannot_say_it_is_not_known_which_is_no_failure(
    tmp_path: Path, said: Mapping[str, Any]
) -> None:
    found, _ = by_agent(tmp_path, said, stop=["acpi"])
    assert found == ""


@pytest.mark.parametrize(
    ("reason", "rule", "asked"),
    [
        (Reason.MANUAL, {"stop": ["agent", "acpi"]}, True),
        (HOST_STOP, {"stop": ["agent", "acpi"]}, False),
        (HOST_STOP, {"stop": ["acpi"], "shell": "agent"}, False),
        (HOST_STOP, {"stop": ["acpi"], "shell": []}, True),
    ],
)
def test_in_a_host_stop_no_agent_is_asked_that_is_wanted_for_something_else(
    tmp_path: Path, reason: Reason, rule: Mapping[str, Any], *, asked: bool
) -> None:
    _, calls = by_agent(tmp_path, answers(""), reason=reason, **rule)
    assert ("guest-exec" in calls) == asked


@pytest.mark.parametrize("reason", [Reason.MANUAL, HOST_STOP])
def test_of_a_crowd_everybody_is_asked_about_once(tmp_path: Path, reason: Reason) -> None:
    asked = Asked(lambda: ["a backup"])
    guests = [FakeGuest(f"g{number:03}", takes=1) for number in range(300)]
    report = run_shutdown(tmp_path, guests, plugins={"asked": asked}, reason=reason)
    assert len(asked.guests) == len(set(asked.guests)), "about none twice"
    if reason is Reason.MANUAL:
        assert sorted(asked.guests) == [guest.name for guest in guests]
        assert len(busy(report)) == 300
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}


class Stream:
    """Keeps the problems that are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def problem(self, what: str, where: str, *_: object) -> None:
        self.told.append((what, where))


@pytest.mark.parametrize("how", ["ask", "tell"])
def test_whoever_could_not_be_asked_for_a_bug_of_ours_does_not_pass_for_idle(how: str) -> None:
    class Broken:
        def listens(self, hook: str, guest: Guest) -> bool:
            return (hook, bool(guest)) == ("guest_busy", True)

        async def fire(self, *_: object, **__: object) -> None:
            raise KeyError("a bug")

    class Endless:
        def soon(self, *_: object) -> float:
            return float("inf")

    guests, stream = [FakeGuest(f"g{number}").guest for number in range(200)], Stream()

    async def story() -> None:
        hooks, terms, heard = cast("Any", Broken()), cast("Any", Endless()), cast("Any", stream)
        asking = BusyGuests(hooks, heard, terms, asyncio.get_running_loop())
        if how == "tell":
            await asking.tell(guests)
        else:
            with pytest.raises(KeyError, match="a bug"):
                await asking.ask(guests)

    asyncio.run(story())
    assert stream.told == [("internal", guest.name) for guest in guests]


def test_a_plugin_is_not_blamed_for_guests_that_it_was_never_asked_about(tmp_path: Path) -> None:
    asked = Asked(raises(Hangs()))
    guests = [FakeGuest(f"g{number:03}") for number in range(AT_ONCE + 20)]
    report = run_shutdown(tmp_path, guests, plugins={"asked": asked})
    failed = [one.name for one in report.guests if any(call.hook == "guest_busy" for call in one.hooks)]
    assert sorted(failed) == sorted(asked.guests)
    assert len(failed) == AT_ONCE
    (told,) = [one for one in report.problems if one.what == "busy"]
    assert told.message == "no time was left to ask whether g064, g065, g066 and 17 more are busy"
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}

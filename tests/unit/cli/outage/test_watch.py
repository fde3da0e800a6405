"""The watch of an outage, on a clock that jumps: who is sent when, and when it is over."""

import asyncio
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from lastcall import PowerPolicy, PowerWord, Supply
from lastcall.cli.outage.watch import OutageWatch
from lastcall.errors import ExitCode
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import OutageFile
from lastcall.testing.memory.clock import VirtualLoop

UPS = "ups@localhost"
LINE, BATTERY, LOW = PowerWord.LINE, PowerWord.BATTERY, PowerWord.LOW


class Command:
    """A command of lastcall that takes its time."""

    def __init__(self, story: "Story", words: Sequence[str]) -> None:
        self._story, self.words = story, words
        self.interrupted = 0
        self.over = asyncio.Event()
        self.code, self.output = 0, ""

    async def wait(self) -> tuple[int, str]:
        await self.over.wait()
        return self.code, self.output

    def interrupt(self) -> None:
        self.interrupted += 1
        self._story.log(f"interrupts {self.words[0]}")

    def end(self, code: int = 0, output: str = "") -> None:
        self.code, self.output = code, output
        self.over.set()


class Story:
    """A host, its UPSes and what lastcall's commands do, as a test tells."""

    def __init__(self, folder: Path, loop: VirtualLoop) -> None:
        self.folder, self.loop = folder, loop
        self.policy_, self.answers = PowerPolicy(return_after=60), list[Supply]()
        self.waiting: list[str] | None = []  # on the list with the cause `shed`
        self.going_down = self.run_under_way = self.hears = self.watched = False
        self.sheds: Callable[[Command], None] = self.sheds_nobody
        self.restores: Callable[[Command], None] = self.restores_all
        self.lines = list[tuple[float, str]]()
        self.commands = list[Command]()
        self.board = PowerBoard(folder, loop.time)
        self.watch: OutageWatch | None = None

    # what the watch sees and does
    async def policy(self) -> PowerPolicy:
        return self.policy_

    async def supplies(self) -> tuple[Supply, ...]:
        return tuple(self.answers)

    async def stops(self) -> bool:
        return self.going_down

    async def shed(self) -> Sequence[str] | None:
        return self.waiting

    async def busy(self) -> bool:
        return self.run_under_way

    async def tell_back(self) -> bool:
        self.log("tells the run")
        return self.hears

    async def start(self, *words: str) -> Command:
        command = Command(self, words)
        self.commands.append(command)
        self.log(f"starts {words[0]}")
        (self.sheds if words[0] == "shed" else self.restores)(command)
        return command

    # what there is to tell
    def log(self, what: str) -> None:
        self.lines.append((self.loop.time(), what))

    def sheds_nobody(self, command: Command) -> None:
        command.end(0, "{}")

    def restores_all(self, command: Command) -> None:
        self.waiting = []
        command.end()

    def says(self, word: PowerWord, supply: str = "") -> None:
        self.board.say(word, supply)

    def ups(self, word: PowerWord | None, charge: float | None = None, runtime: float | None = None) -> None:
        self.answers = [Supply(name=UPS, word=word, charge=charge, runtime=runtime)]

    def begins(self) -> "asyncio.Task[None]":
        self.watch = OutageWatch(self, self, self.board, OutageFile(self.folder), self.loop.time, lambda _: None)
        self.watched = True
        return self.loop.create_task(self.watch.go())

    def starts(self, word: str) -> list[float]:
        return [at for at, what in self.lines if what == f"starts {word}"]


@pytest.fixture
def story(tmp_path: Path) -> Generator[Story]:
    with closing(VirtualLoop()) as loop:
        loop._jumping.now = 1000.0  # pyright: ignore[reportPrivateUsage]  a host that has been up for a while
        yield Story(tmp_path, loop)


def plays(story: Story, *scenes: tuple[float, Callable[[], object]], until: float = 1000.0) -> bool:
    """Let the watch go on, with something that happens after so many seconds; whether it ended by itself."""

    async def play() -> bool:
        watching = story.begins()
        for after, scene in scenes:
            story.loop.call_later(after, scene)
        done, _ = await asyncio.wait([watching], timeout=until)
        for one in done:
            one.result()
        watching.cancel()
        return bool(done)

    return story.loop.run_until_complete(play())


def sheds(story: Story, name: str, seconds: float = 1.0) -> Callable[[Command], None]:
    """The first `shed --due` stops somebody; every later one finds nobody."""

    def shed(command: Command) -> None:
        def off() -> None:
            story.waiting = [name]
            command.end(0, "{}")

        if len(story.starts("shed")) == 1:
            story.loop.call_later(seconds, off)
        else:
            command.end(0, "{}")

    return shed


def test_guests_are_shed_on_battery_and_come_back_once_the_mains_have_held(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = sheds(story, "web")
    assert plays(story, (30, lambda: story.says(LINE)))
    assert story.starts("shed")[0] == 1000
    (back,) = story.starts("restore")
    assert 1090 <= back <= 1094, "a minute after the word, and not long after that"
    assert story.loop.time() < 1100, "then it is over"
    assert not OutageFile(story.folder).path.exists()


def test_mains_that_do_not_hold_bring_nobody_back(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = sheds(story, "web")
    plays(
        story, (20, lambda: story.says(LINE)), (60, lambda: story.says(BATTERY)), (61, lambda: story.says(LINE)),
        until=500,
    )  # fmt: skip
    (back,) = story.starts("restore")
    assert 1121 <= back <= 1125


@pytest.mark.parametrize("blink", [0.5, 1.0, 3.0])
def test_mains_that_fail_between_two_looks_have_not_held(story: Story, blink: float) -> None:
    """The words tell of it, though no look has seen it."""
    story.says(BATTERY)
    story.sheds = sheds(story, "web")
    plays(
        story, (10.1, lambda: story.says(LINE)), (40.1, lambda: story.says(BATTERY)),
        (40.1 + blink, lambda: story.says(LINE)), until=500,
    )  # fmt: skip
    (back,) = story.starts("restore")
    assert back >= 1100.1 + blink


def test_mains_that_return_in_the_middle_ask_nobody_else(story: Story) -> None:
    story.says(BATTERY)

    def shed(command: Command) -> None:
        if len(story.starts("shed")) > 1:
            return command.end(0, "{}")
        story.loop.call_later(40, lambda: (setattr(story, "waiting", ["web"]), command.end(1)))
        return None

    story.sheds = shed
    assert plays(story, (10, lambda: story.says(LINE)))
    told = [(at, what) for at, what in story.lines if what in {"tells the run", "interrupts shed"}]
    assert [what for _, what in told] == ["tells the run", "interrupts shed"], "once, as no run has heard"
    assert told[0][0] <= 1012
    assert len(story.starts("restore")) == 1
    assert story.starts("restore")[0] >= 1070


def test_a_run_that_hears_of_the_mains_is_not_interrupted(story: Story) -> None:
    story.says(BATTERY)
    story.hears = True
    story.sheds = lambda command: story.loop.call_later(40, command.end) and None
    assert plays(story, (10, lambda: story.says(LINE)))
    assert [what for _, what in story.lines].count("tells the run") == 1
    assert story.commands[0].interrupted == 0


def test_mains_that_fail_while_guests_come_back_start_nobody_else_and_shed_again(story: Story) -> None:
    story.says(BATTERY)
    story.waiting = ["web", "db"]
    story.restores = lambda command: story.loop.call_later(20, command.end) and None
    plays(story, (2, lambda: story.says(LINE)), (70, lambda: story.says(BATTERY)), until=200)
    assert story.commands[-1].words[0] == "shed"
    restores = [one for one in story.commands if one.words[0] == "restore"]
    assert [one.interrupted for one in restores] == [2], "again after ten seconds, as it waits for somebody"
    later = [at for at in story.starts("shed") if at > 1070]
    assert later, "and not while that one still ends"
    assert later[0] >= 1080


def test_two_commands_are_never_under_way_at_once(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = lambda _: None  # goes on and on
    plays(story, until=600)
    assert len(story.commands) == 1


def test_who_is_due_by_time_is_asked_for_then(story: Story) -> None:
    story.says(BATTERY)
    answer = json.dumps({"coming": [{"stage": "after", "guests": ["db"], "seconds": 9.0}]})
    story.sheds = lambda command: command.end(0, answer if len(story.starts("shed")) == 1 else "{}")
    plays(story, until=30)
    assert story.starts("shed")[:2] == [1000, 1010]
    noted = OutageFile(story.folder).recall()
    assert noted is not None
    assert noted.next == ()


def test_who_is_due_by_charge_or_runtime_is_asked_for_when_that_changes(story: Story) -> None:
    story.ups(BATTERY, 80, 1200)
    plays(story, (7, lambda: story.ups(BATTERY, 79, 1200)), (13, lambda: story.ups(BATTERY, 79, 600)), until=15)
    assert story.starts("shed") == [1000, 1008, 1014]


def test_a_ups_whose_figures_jump_about_does_not_keep_the_processor_busy(story: Story) -> None:
    story.says(BATTERY)

    def jump(count: int) -> None:
        story.ups(BATTERY, count % 100, 60.0 * count)
        story.loop.call_later(0.3, jump, count + 1)

    plays(story, (0, lambda: jump(1)), until=100)
    assert len(story.starts("shed")) <= 20


def test_a_due_stage_that_waits_for_others_is_not_asked_for_on_and_on(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = lambda command: command.end(0, json.dumps({"coming": [{"guests": ["db"], "seconds": 0.0}]}))
    plays(story, until=60)
    assert len(story.starts("shed")) <= 5


def test_where_a_site_wants_nothing_on_battery_nobody_is_shed(story: Story) -> None:
    story.policy_ = PowerPolicy(on_battery="nothing", return_after=60)
    story.says(BATTERY)
    assert plays(story, (300, lambda: story.says(LINE)))
    assert story.commands == []


def test_nor_does_that_keep_those_off_whom_a_person_has_shed(story: Story) -> None:
    story.policy_ = PowerPolicy(on_battery="nothing", return_after=60)
    story.says(BATTERY)
    story.waiting = ["web"]
    assert plays(story, (300, lambda: story.says(LINE)))
    assert [one.words for one in story.commands] == [("restore", "--cause", "shed")]


def test_a_watch_that_is_killed_goes_on_by_what_is_on_disk(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = sheds(story, "web")
    plays(story, (10, lambda: story.says(LINE)), until=40)  # and it is gone
    assert story.starts("restore") == []
    assert plays(story)
    (back,) = story.starts("restore")
    assert 1070 <= back <= 1074, "a minute from the word on, not from the new start"


def test_a_watch_that_is_killed_on_battery_knows_since_when_that_carries(story: Story) -> None:
    story.ups(BATTERY, 90)
    plays(story, until=50)
    plays(story, until=10)
    noted = OutageFile(story.folder).recall()
    assert noted is not None
    assert (noted.word, noted.since) == (BATTERY, 1000)


def test_mains_that_come_and_go_are_one_outage_also_to_a_watch_that_was_killed_and_the_next_one_is_another(
    story: Story,
) -> None:
    def began() -> float | None:
        return OutageFile(story.folder).began(story.loop.time())

    story.says(BATTERY)
    story.waiting = ["web"]
    plays(story, (10, lambda: story.says(LINE)), (30, lambda: story.says(BATTERY)), until=50)
    assert began() == 1000
    story.restores = lambda command: command.end(1)  # somebody stays off, and the watch goes on
    plays(story, (5, lambda: story.says(LINE)), until=20)
    assert began() == 1000
    plays(story, until=80)
    assert began() is None
    plays(story, (10, lambda: story.says(BATTERY)), until=20)
    assert began() == pytest.approx(1160, abs=5)


@pytest.mark.parametrize("words", [(BATTERY,), (BATTERY, LINE)])
def test_a_host_that_goes_down_ends_it_at_once_and_nobody_is_started(
    story: Story, words: tuple[PowerWord, ...]
) -> None:
    for word in words:
        story.says(word)
    story.waiting, story.going_down = ["web"], True
    assert plays(story)
    assert story.commands == []
    assert story.loop.time() < 1003


def test_a_shed_run_that_the_host_stop_has_joined_is_waited_for_and_left_alone(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = lambda command: story.loop.call_later(50, command.end) and None
    assert plays(story, (5, lambda: setattr(story, "going_down", True)))
    assert story.commands[0].interrupted == 0
    assert story.loop.time() == 1050


def test_whoever_ends_the_watch_ends_what_it_has_started(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = lambda command: story.loop.call_later(500, command.end) and None

    def ended() -> None:
        assert story.watch
        story.watch.end()

    assert plays(story, (5, ended))
    assert [at for at, what in story.lines if what == "interrupts shed"] == [1005, 1015]


def test_upses_that_do_not_answer_leave_what_was_said(story: Story) -> None:
    story.says(BATTERY, UPS)
    story.ups(None)
    story.sheds = sheds(story, "web")
    assert plays(story, (100, lambda: story.says(LINE, UPS)))
    assert story.starts("shed")[0] == 1000
    assert 1160 <= story.starts("restore")[0] <= 1164


def test_a_ups_that_says_itself_that_the_mains_are_back_needs_nobody_who_says_so(story: Story) -> None:
    story.says(BATTERY, UPS)
    story.ups(BATTERY, 90)
    story.sheds = sheds(story, "web")
    assert plays(story, (31, lambda: story.ups(LINE, 91)))
    assert 1090 <= story.starts("restore")[0] <= 1096


def test_a_word_without_a_name_does_not_stand_beside_what_the_ups_answers(story: Story) -> None:
    """`lastcall power battery` of apcupsd's script, and the UPS asked by its own name."""
    story.says(BATTERY)
    story.ups(BATTERY, 90)
    story.sheds = sheds(story, "web")
    assert plays(story, (31, lambda: story.ups(LINE, 91)))
    assert len(story.starts("restore")) == 1


def test_of_two_upses_the_host_lives_by_the_one_that_is_left(story: Story) -> None:
    story.says(BATTERY, "a")
    story.says(LINE, "b")
    assert plays(story)
    assert story.commands == []


def test_with_two_that_are_needed_one_is_not_enough(story: Story) -> None:
    story.policy_ = PowerPolicy(supplies=2, return_after=60)
    story.says(BATTERY, "a")
    story.says(LINE, "b")
    plays(story, until=10)
    assert story.starts("shed")


def test_a_restore_that_leaves_somebody_is_begun_again_less_and_less_often(story: Story) -> None:
    story.says(LINE)
    story.waiting = ["web"]
    story.restores = lambda command: command.end(ExitCode.NOT_AS_PLANNED)
    plays(story, until=3600)
    at = story.starts("restore")
    assert 10 < len(at) < 25
    assert at[1] - at[0] <= 14
    assert 298 <= at[-1] - at[-2] <= 304


def test_guests_that_do_not_start_keep_nobody_from_being_shed(story: Story) -> None:
    story.says(LINE)
    story.waiting = ["web"]
    story.restores = lambda command: command.end(ExitCode.NOT_AS_PLANNED)
    plays(story, (900, lambda: story.says(BATTERY)), until=910)
    assert story.starts("shed")[0] <= 1904


def test_a_guest_that_does_not_stop_keeps_no_other_from_its_stage(story: Story) -> None:
    story.says(BATTERY)
    story.sheds = lambda command: command.end(ExitCode.NOT_AS_PLANNED)
    plays(story, until=300)
    at = story.starts("shed")
    assert max(later - earlier for earlier, later in pairwise(at)) <= 17


def test_a_list_that_cannot_be_read_is_not_an_empty_one(story: Story) -> None:
    story.says(LINE)
    story.waiting = None
    assert not plays(story, until=600)
    story.waiting = []
    assert plays(story)


def test_a_run_that_turned_round_is_waited_for_and_whom_it_had_stopped_comes_back(story: Story) -> None:
    story.says(LINE)
    story.run_under_way = True

    def over() -> None:
        story.run_under_way, story.waiting = False, ["web"]

    assert plays(story, (300, over))
    assert 1300 <= story.starts("restore")[0] <= 1304


def test_a_board_that_says_nothing_brings_nobody_back_before_its_time(story: Story) -> None:
    story.waiting = ["web"]
    assert plays(story)
    assert story.starts("restore")[0] >= 1060


def test_a_command_that_cannot_be_started_costs_only_its_turn(story: Story) -> None:
    story.says(BATTERY)
    failures = 3

    async def start(*words: str) -> Command:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise FileNotFoundError(2, "No such file or directory")
        return await Story.start(story, *words)

    story.start = start  # pyright: ignore[reportAttributeAccessIssue]
    plays(story, until=120)
    assert story.starts("shed")


def test_low_goes_on_with_what_battery_has_begun(story: Story) -> None:
    story.says(BATTERY)
    plays(story, (30, lambda: story.says(LOW)), until=60)
    noted = OutageFile(story.folder).recall()
    assert noted is not None
    assert (noted.word, noted.since) == (LOW, 1000)
    assert story.starts("restore") == []


def test_what_is_said_while_the_watch_ends_is_not_lost(story: Story) -> None:
    """Whoever says it waits until the process is gone, and starts the next one."""
    story.says(LINE)
    closed = story.board.close(lambda said: all(one.word == LINE for one in said.values()))
    assert closed
    fresh = PowerBoard(story.folder)
    assert fresh.say(BATTERY), "after a while, should the process hang"

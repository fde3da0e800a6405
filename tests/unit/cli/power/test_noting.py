"""What comes of a word about the power: on the boards, to the next host stop, and to who watches the outage."""

import json
import multiprocessing
import os
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lastcall import Guest, GuestState, PowerPolicy, PowerWord, Reason, Supply
from lastcall.cli.documents.state import PowerDocument
from lastcall.cli.power.answers import PowerAnswers
from lastcall.cli.power.asking import ASKING, ask_plugins
from lastcall.cli.power.line import SpokenWord
from lastcall.cli.power.noting import MAINS_BACK, MAINS_GONE, WordNoting
from lastcall.config.paths import Places
from lastcall.persistence.announcement import POWER_WORD, Announcement, NoticeBoard, announce
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.mailbox import Answer, Request
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.state import StateFile
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from support import run_lastcall, write_config

LINE, BATTERY, LOW = PowerWord.LINE, PowerWord.BATTERY, PowerWord.LOW
CONFIGURED = 900.0


class Site:
    """A host: what its plugins answer, and how often somebody was sent to watch an outage."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder, folder)
        self.answers, self.asked, self.watches = PowerAnswers(), 0, 0
        self.problem = ""
        self.seen_while_asked: Announcement | None = None

    def says(self, word: PowerWord, supply: str = "") -> PowerDocument:
        return WordNoting(self.places, SpokenWord(word, supply), self._ask, self._watch).note()

    def _ask(self) -> PowerAnswers:
        self.asked += 1
        self.seen_while_asked = self.announced
        return self.answers

    def _watch(self) -> str:
        self.watches += 1
        return self.problem

    @property
    def announced(self) -> Announcement | None:
        return NoticeBoard(self.places.run).read()

    def left(self) -> float:
        assert self.announced
        left = self.announced.left()
        assert left is not None
        return left

    def lists(self, cause: Any) -> None:
        state = StateFile(self.places.state)
        guest = Guest(uri="test:///default", uuid="1" * 8, name="web", state=GuestState.RUNNING)
        state.add([guest], run="r", boot_id=boot_id(), due=False, cause=cause)
        state.save()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_battery_that_is_low_is_announced_with_the_time_that_is_believed(site: Site) -> None:
    site.answers = PowerAnswers(PowerPolicy(trust=0.5), (Supply(name="ups", word=LOW, runtime=400.0),))
    found = site.says(LOW, "ups")
    assert site.announced == found.announced
    assert site.announced
    assert (site.announced.reason, site.announced.by) == (Reason.POWER.value, POWER_WORD)
    assert 195 < site.left() <= 200
    assert found.believed
    assert "400" in found.believed or "6min40s" in found.believed


def test_where_no_ups_answers_ninety_seconds_are_announced_and_that_is_said(site: Site) -> None:
    site.answers = PowerAnswers(problem="plugins have not answered within 5 s")
    found = site.says(LOW)
    assert 85 < site.left() <= 90
    assert found.believed == "plugins have not answered within 5 s: 90s are counted on"


def test_something_is_announced_before_anybody_is_asked(site: Site) -> None:
    """The UPS daemon may call poweroff in the next moment."""
    site.says(LOW)
    assert site.seen_while_asked
    assert site.seen_while_asked.reason == Reason.POWER.value


def test_what_is_known_better_already_is_not_forgotten_while_somebody_is_asked(site: Site) -> None:
    site.answers = PowerAnswers(supplies=(Supply(name="ups", word=LOW, runtime=600.0),))
    site.says(LOW, "ups")
    before = site.announced
    site.says(LOW, "ups")
    assert site.seen_while_asked == before


def test_the_last_word_low_counts(site: Site) -> None:
    for runtime in (600.0, 100.0):
        site.answers = PowerAnswers(supplies=(Supply(name="ups", word=LOW, runtime=runtime),))
        found = site.says(LOW, "ups")
    assert not found.news
    assert 45 < site.left() <= 50


def test_one_of_two_upses_that_is_low_announces_nothing_as_long_as_the_host_lives(site: Site) -> None:
    site.says(LINE, "b")
    found = site.says(LOW, "a")
    assert (found.host, found.announced, site.announced) == (LINE, None, None)
    site.says(LOW, "b")
    assert site.announced


def test_nor_where_the_other_one_was_never_spoken_of_and_answers(site: Site) -> None:
    site.answers = PowerAnswers(supplies=(Supply(name="a", word=LOW), Supply(name="b", word=LINE)))
    found = site.says(LOW, "a")
    assert (found.host, site.announced) == (LINE, None)
    assert found.taken_back, "what had been announced before they were asked"


def test_where_both_are_needed_one_is_enough_to_announce(site: Site) -> None:
    site.answers = PowerAnswers(PowerPolicy(supplies=2), (Supply(name="a", word=LOW), Supply(name="b", word=LINE)))
    site.says(LINE, "b")
    assert site.says(LOW, "a").host is LOW
    assert site.announced


def test_mains_that_are_back_take_back_what_the_word_has_announced(site: Site) -> None:
    site.says(LOW)
    found = site.says(LINE)
    assert (found.taken_back, site.announced) == (True, None)
    assert not site.says(LINE).taken_back


@pytest.mark.parametrize("reason", [Reason.POWER, Reason.REBOOT])
def test_what_a_person_has_announced_is_his(site: Site, reason: Reason) -> None:
    made = announce(reason, CONFIGURED)
    NoticeBoard(site.places.run).put(made)
    site.says(BATTERY)
    found = site.says(LINE)
    assert (found.taken_back, site.announced) == (False, made)


def test_a_battery_that_recovers_does_not_lengthen_a_host_stop_that_is_to_come(site: Site) -> None:
    site.says(LOW)
    before = site.announced
    site.says(BATTERY)
    assert site.announced == before


def test_mains_of_one_ups_take_nothing_back_while_the_host_is_low_without_the_other(site: Site) -> None:
    site.answers = PowerAnswers(PowerPolicy(supplies=2))
    site.says(LOW, "a")
    site.says(LOW, "b")
    found = site.says(LINE, "a")
    assert (found.host, found.taken_back) == (LOW, False)
    assert site.announced


def test_an_outage_is_watched_from_its_first_word_on(site: Site) -> None:
    assert site.says(BATTERY).watched
    assert site.watches == 1
    site.says(BATTERY)
    assert site.watches == 2, "one that was killed for good is started by any later word"
    assert site.asked == 0, "a word that only starts it costs no plugins"


@pytest.mark.parametrize(("cause", "watches"), [("shed", 1), ("hand", 0), ("host", 0)])
def test_mains_are_watched_where_somebody_was_shed(site: Site, cause: str, watches: int) -> None:
    site.lists(cause)
    found = site.says(LINE)
    assert (site.watches, found.watched) == (watches, bool(watches))


def test_mains_are_watched_while_another_ups_is_still_without(site: Site) -> None:
    site.answers = PowerAnswers(PowerPolicy(supplies=2))
    site.says(BATTERY, "a")
    site.says(BATTERY, "b")
    site.watches = 0
    assert site.says(LINE, "a").host is BATTERY
    assert site.watches == 1


def test_a_watch_that_cannot_be_started_is_a_problem(site: Site) -> None:
    site.problem = "lastcall-outage.service cannot be started"
    found = site.says(BATTERY)
    assert (found.watched, found.problems) == (False, (site.problem,))
    assert PowerBoard(site.places.run).read()[""].word == "battery", "and the word is noted all the same"


def test_nobody_is_sent_to_watch_a_host_that_stops(site: Site) -> None:
    site.lists("shed")
    BootStamp(site.places.run).stop_by(time.monotonic() + 60)
    for word in (BATTERY, LINE):
        found = site.says(word)
        assert (found.watched, found.problems) == (False, ())
    assert site.watches == 0


def test_a_file_of_ours_that_is_broken_does_not_swallow_a_word(site: Site) -> None:
    (site.places.run / "power.json").write_text("{")
    (site.places.run / "announcement.json").write_text("[]")
    (site.places.state / "state.json").write_text("no")
    assert site.says(LOW).announced
    assert site.says(LINE).taken_back


def say(folder: Path, supply: str) -> None:
    PowerBoard(folder).say(BATTERY, supply)


def test_two_upses_that_fail_in_the_same_second_are_both_noted(tmp_path: Path) -> None:
    names = [f"ups-{number}" for number in range(8)]
    context = multiprocessing.get_context("fork")
    said = [context.Process(target=say, args=(tmp_path, name)) for name in names]
    for one in said:
        one.start()
    for one in said:
        one.join()
    assert PowerBoard(tmp_path).read().keys() == set(names)


@pytest.mark.parametrize("words", [(BATTERY, LOW), (BATTERY, LOW, BATTERY), (LOW, BATTERY)])
def test_a_battery_that_is_low_or_recovers_has_carried_all_the_time(tmp_path: Path, words: Sequence[PowerWord]) -> None:
    now = 10.0
    board = PowerBoard(tmp_path, lambda: now)
    for word in words:
        board.say(word, "ups")
        now += 5
    assert board.read()["ups"].since == 10.0


def test_plugins_that_hang_cost_low_five_seconds(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default")
    (tmp_path / "hooks.d/10-hangs.py").write_text("import time\ntime.sleep(60)\n")
    began = time.monotonic()
    found = ask_plugins(config)
    assert time.monotonic() - began < ASKING + 40  # of sixty
    assert found.supplies == ()


@pytest.mark.parametrize("text", ["connections: [", "nonsense: 1\n"])
def test_a_configuration_that_is_broken_costs_the_host_no_announcement(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    assert ask_plugins(tmp_path / "broken.yaml").problem


def power(config: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return run_lastcall(config, "power", *words)


def test_the_command_says_what_it_has_noted_and_believed(tmp_path: Path) -> None:
    config = write_config(tmp_path, "test:///default")
    done = power(config, "low", "--ups", "ups@localhost")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ups@localhost: low\nannounced: the next host stop is for power, over within ")
    assert "90s are counted on" in done.stdout
    found = json.loads(power(config, "low", "--ups", "ups@localhost", "--json").stdout)
    assert (found["word"], found["news"], found["host"]) == ("low", False, "low")
    assert power(config, "line", "--ups", "ups@localhost").stdout.splitlines() == [
        "ups@localhost: line", "what was announced is taken back",
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["of", "on", "lime", "LOW"])
def test_an_unknown_word_is_a_usage_error_that_names_the_three(tmp_path: Path, word: str) -> None:
    done = power(write_config(tmp_path, "test:///default"), word)
    assert done.returncode == 2
    assert "line, battery or low" in done.stderr
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["", "a b", "x" * 60, "ups;reboot", "ups\nlow", "-v"])
def test_a_name_that_no_ups_has_is_a_usage_error(tmp_path: Path, name: str) -> None:
    done = power(write_config(tmp_path, "test:///default"), "battery", f"--ups={name}")
    assert done.returncode == 2
    assert list((tmp_path / "run").iterdir()) == []


@contextmanager
def run_under_way(folder: Path, reason: Reason) -> Generator[list[Request]]:
    """A shutdown that hears what it is told, and answers."""
    lock, heard, over = RunLock(folder), list[Request](), threading.Event()
    lock.take(Holder("shutdown", reason.value, os.getpid()))
    with lock.path.open() as held:
        sleeper = subprocess.Popen(["sleep", "60"], stdin=held)  # to whom the signal goes
    lock.release()
    lock.take(Holder("shutdown", reason.value, sleeper.pid))

    def take(request: Request) -> Answer:
        heard.append(request)
        return Answer(accepted=True, message="it turns round")

    def answer() -> None:
        while not over.wait(0.02):
            lock.heed(take)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
        sleeper.kill()
        sleeper.wait()
        lock.release()


@pytest.mark.parametrize(("word", "told"), [(LINE, MAINS_BACK), (BATTERY, MAINS_GONE)])
def test_a_run_under_way_is_told_and_what_it_answers_is_seen(site: Site, word: PowerWord, told: Request) -> None:
    with run_under_way(site.places.run, Reason.POWER) as heard:
        found = site.says(word)
    assert heard == [told]
    assert found.answer == "it turns round"
    assert site.watches == 1, "whoever it had stopped comes back"


def test_a_run_under_way_learns_how_long_a_battery_lasts_that_is_low(site: Site) -> None:
    site.answers = PowerAnswers(supplies=(Supply(name="ups", word=LOW, runtime=100.0),))
    with run_under_way(site.places.run, Reason.POWEROFF) as heard:
        found = site.says(LOW, "ups")
    assert found.announced
    assert heard == [Request("power", found.announced.ends, announced=True)]


def test_one_of_two_upses_tells_a_run_nothing_as_long_as_the_host_lives(site: Site) -> None:
    site.says(LINE, "b")
    with run_under_way(site.places.run, Reason.POWEROFF) as heard:
        site.says(BATTERY, "a")
        site.says(LOW, "a")
    assert heard == []


def test_a_battery_gives_a_reboot_that_is_under_way_no_other_reason(site: Site) -> None:
    with run_under_way(site.places.run, Reason.REBOOT) as heard:
        site.says(BATTERY)
    assert heard == []

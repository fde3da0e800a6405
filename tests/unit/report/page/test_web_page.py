"""The report as a page: names are text, nothing is fetched, and five hundred guests are one file that can be opened."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from book.pictures import SAMPLE
from lastcall.api.guests import Outcome, RunKind
from lastcall.api.results import GuestResult, HookRecord, Verdict
from lastcall.errors import Problem
from lastcall.report.page.html_report import RunStory, run_stories
from lastcall.report.page.web_page import as_page
from lastcall.report.run_history import PastRun, latest, past_runs

HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(1)>&lt;{{ 7 * 7 }}\x1b[2J\u202e\n"
VISIBLE = HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e").replace("\n", r"\n")
MOST_BYTES = 2_000_000
RUNS = list(past_runs(SAMPLE))
SHOWN = latest(iter(RUNS))


class Reader(HTMLParser):
    """What elements and attributes a page has, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.within = ""
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.parts: list[str] = []
        self.feed(page)
        self.text = "".join(self.parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.within = tag
        self.attributes += [(name, told or "") for name, told in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if self.within not in {"style", "script"}:
            self.parts.append(data)


def unchanged(run: PastRun) -> PastRun:
    return run


def story(change: Callable[[PastRun], PastRun] = unchanged, *, traces: bool = False) -> RunStory:
    (made,) = run_stories([change(SHOWN[0])], RUNS, traces=traces)
    return made


def with_guests(change: Callable[[GuestResult], GuestResult]) -> Callable[[PastRun], PastRun]:
    def changed(run: PastRun) -> PastRun:
        guests = tuple(map(change, run.report.guests))
        return PastRun(replace(run.report, guests=guests), run.complete)

    return changed


def hostile(run: PastRun) -> PastRun:
    def poisoned(guest: GuestResult) -> GuestResult:
        attempts = tuple(replace(one, method=HOSTILE, message=HOSTILE) for one in guest.attempts)
        evidence = {HOSTILE: {"before": {HOSTILE: HOSTILE}, "after": {HOSTILE: HOSTILE}, "proven": True}}
        told = HookRecord(
            hook=HOSTILE, plugin=HOSTILE, result=Verdict.FAILED, started=0.0, duration=1.0, message=HOSTILE,
            where=HOSTILE, traceback=HOSTILE, evidence=evidence,
        )  # fmt: skip
        return replace(
            guest, name=HOSTILE, uri=HOSTILE, message=HOSTILE, method=HOSTILE, waited_for=(HOSTILE,),
            attempts=attempts, hooks=(told,),
        )  # fmt: skip

    facts = replace(run.report.run, host=HOSTILE, config=HOSTILE, id=HOSTILE)
    problem = Problem(what=HOSTILE, where=HOSTILE, message=HOSTILE, remedy=HOSTILE)
    guests = tuple(map(poisoned, run.report.guests))
    return PastRun(replace(run.report, run=facts, guests=guests, problems=(problem,)), run.complete)


def test_whatever_a_log_says_is_text_and_neither_an_element_nor_an_attribute_nor_a_control_character() -> None:
    plain, poisoned = (Reader(as_page([story(change, traces=True)])) for change in (unchanged, hostile))
    assert VISIBLE in poisoned.text
    assert "49" not in poisoned.text.replace(VISIBLE, "").partition("Problems")[0]
    assert set(poisoned.elements) <= set(plain.elements) | {"pre", "details", "summary", "small"}
    assert poisoned.elements.count("script") == 1
    assert "img" not in poisoned.elements
    assert not [name for name, _ in poisoned.attributes if name.startswith("on")]
    kept = "\n\t"
    assert not [one for one in poisoned.text if not one.isprintable() and one not in kept]


def test_the_page_asks_nobody_for_anything_and_runs_what_it_brings_and_nothing_else() -> None:
    page = as_page(list(run_stories(SHOWN, RUNS)))
    found = Reader(page)
    assert not {"img", "iframe", "object", "embed", "base", "form"} & set(found.elements)
    assert [told for name, told in found.attributes if name == "src"] == []
    links = {told for name, told in found.attributes if name in {"href", "xlink:href"}}
    assert all(link.startswith("#") for link in links - {"data:,"})
    ids = [told for name, told in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert not [told for name, told in found.attributes if name == "style"]
    (policy,) = [told for _, told in found.attributes if told.startswith("default-src")]
    assert "'unsafe" not in policy
    assert "default-src 'none'" in policy
    for element in ("style", "script"):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy


def test_problems_come_first_and_errors_before_warnings() -> None:
    told = " ".join(Reader(as_page([story()])).text.split())
    assert told.index("win-files was forced off") < told.index("db-2 stopped, but 1 hook failed")
    assert told.index("but 1 hook failed") < told.index("no answer within 10 s") < told.index("It took as long as this")
    assert "1 of 12 guests did not go as planned, 1 hook failed" in told


def test_what_went_well_says_so_and_has_no_problems() -> None:
    (good,) = run_stories(SHOWN[1:], RUNS)
    assert good.report.run.kind is RunKind.RESTORE
    assert (good.verdict, good.faults) == ("Everything went as planned", ())


def test_a_run_that_was_cut_off_says_so_before_anything_else() -> None:
    cut = story(lambda run: PastRun(run.report, complete=False))
    assert cut.verdict.startswith("It did not come to its end")
    assert not cut.good


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_words_among_the_problems_or_is_as_planned(outcome: Outcome) -> None:
    one = story(with_guests(lambda guest: replace(guest, outcome=outcome, hooks=())))
    told = [fault for fault in one.faults if fault.guest is not None]
    assert len(told) in {0, len(one.guests)}
    assert all(guest.rating == ("bad" if told else "good") for guest in one.guests)


def test_the_databases_are_shown_before_and_after() -> None:
    told = " ".join(Reader(as_page([story()])).text.split())
    assert "replay 60.2 MiB 176 B" in told
    assert "unsaved changes 20000 0" in told
    assert "✗ not proven dirty pages 3513 412" in told


def test_what_is_usual_is_what_earlier_runs_of_the_kind_have_shown_and_no_later_one() -> None:
    guests = {one.result.name: one for one in story().guests}
    assert guests["web-1"].usual == pytest.approx(6.1, abs=0.01)
    assert guests["win-files"].slower
    assert not guests["web-1"].slower
    (first,) = run_stories(RUNS[-1:], RUNS)
    assert {one.usual for one in first.guests} == {None}


def test_tracebacks_are_for_who_asks_for_them() -> None:
    def fails(guest: GuestResult) -> GuestResult:
        broken = HookRecord(hook="h", plugin="p", result=Verdict.FAILED, started=0, duration=1, traceback="one\ntwo")
        return replace(guest, hooks=(broken,))

    shown = {traces: as_page([story(with_guests(fails), traces=traces)]) for traces in (True, False)}
    assert ("one\ntwo\n</pre>" in shown[True], "<pre" in shown[False]) == (True, False)


def test_where_nothing_was_logged_the_page_says_so() -> None:
    assert "No run has been logged" in Reader(as_page([])).text


def test_a_run_without_guests_is_a_page_too() -> None:
    empty = story(lambda run: PastRun(replace(run.report, guests=(), hooks=(), problems=()), run.complete))
    assert "Shutdown" in Reader(as_page([empty])).text


def crowd(run: PastRun, message: str) -> PastRun:
    """Five hundred guests with what twelve have; each says so much."""
    guests = tuple(
        replace(
            guest, name=f"{guest.name}-{number:03}-{'x' * 60}", uuid=f"{number:036}", message=message,
            outcome=Outcome.LEFT, attempts=tuple(replace(one, message=message) for one in guest.attempts),
        )
        for number in range(500)
        for guest in [run.report.guests[number % len(run.report.guests)]]
    )  # fmt: skip
    return PastRun(replace(run.report, guests=guests), run.complete)


@pytest.mark.parametrize("length", [0, 2000])
def test_five_hundred_guests_are_a_file_that_can_be_opened_whatever_they_say(length: int) -> None:
    page = as_page(list(run_stories([crowd(run, "m" * length) for run in SHOWN], RUNS)))
    assert len(page.encode()) <= MOST_BYTES
    told = Reader(page)
    assert told.elements.count("details") >= 1000, "each guest of each run"

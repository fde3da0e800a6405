"""What is said of whom is shed, for people and as JSON."""

from collections.abc import Iterator

from lastcall.api.guests import Guest
from lastcall.api.results import Report
from lastcall.cli.documents.power.shed import ComingStage, OutageFacts, ShedDocument, ShedGuest, StayingGuest
from lastcall.cli.power.shed_look import ShedLook
from lastcall.errors import Problem
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.screen import Screen
from lastcall.formats.quantities import format_duration
from lastcall.report.text import problem_lines


def shed_document(seen: ShedLook, stopped: Report | None, problems: tuple[Problem, ...]) -> ShedDocument:
    """All of it; `stopped`: the report of the run, where there was one."""
    choice, outage = seen.choice, seen.outage
    facts = outage and OutageFacts(
        word=outage.word, seconds=round(outage.power.seconds, 1), charge=outage.power.charge,
        runtime=outage.power.runtime,
    )  # fmt: skip
    return ShedDocument(
        outage=facts,
        going=tuple(ShedGuest(**_who(one), stage=str(choice.stages.get(one.key, ""))) for one in choice.going),
        staying=tuple(StayingGuest(**_who(choice.guests[key]), why=why) for key, why in choice.staying.items()),
        coming=tuple(
            ComingStage(
                stage=str(one.stage), seconds=None if one.seconds is None else round(one.seconds, 1),
                guests=tuple(choice.guests[key].name for key in one.guests),
            )
            for one in choice.coming
        ),
        nobody_because=seen.because or None, stopped=stopped, restored=None, problems=problems,
    )  # fmt: skip


def _who(guest: Guest) -> dict[str, str]:
    return {"uri": guest.uri, "uuid": guest.uuid, "name": guest.name}


def shed_lines(seen: ShedLook, problems: tuple[Problem, ...], screen: Screen) -> Iterator[str]:
    """What is said where nobody was touched."""
    for line in _told(seen):
        yield from paragraph(line, screen)
    for problem in dict.fromkeys(problems):
        yield from problem_lines(problem, screen)


def _told(seen: ShedLook) -> Iterator[str]:
    called = seen.choice.called
    for guest in seen.choice.going:
        stage = seen.choice.stages.get(guest.key)
        yield f"{called[guest.key]}: shed{f' {stage}' if stage else ''}"
    yield from beside_lines(seen)
    if seen.because:
        yield seen.because
    for one in seen.choice.coming:
        names = ", ".join(called[key] for key in one.guests)
        when = "" if one.seconds is None else f", in {format_duration(round(one.seconds))}"
        yield f"next: {names} {one.stage}{when}"


def beside_lines(seen: ShedLook) -> Iterator[str]:
    """What is said of guests beside whom is shed: who stays, and who is busy and goes as somebody has named it."""
    choice, called = seen.choice, seen.choice.called
    for key, why in choice.staying.items():
        yield f"{called[key]} stays: {why}"
    for key, reasons in choice.busy.items():
        if key not in choice.staying:
            yield f"{called[key]} is busy: {'; '.join(reasons)}"

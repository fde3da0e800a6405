"""When each hook fires: a picture that is drawn from the reports of runs in the lab."""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lastcall import HookRecord, Reason, Report, Run, hookimpl
from lastcall.testing import Lab

WIDTH = 21
MARK = "◀"
# In the lab a guest is ready some seconds after its start, so that the picture shows the hook asked again.
_NOT_READY = 2.0
_CONFIG = """
defaults: {stop: [{acpi: {timeout: 20s}}]}
guests: [{match: web, depends_on: [db]}]
"""


class _Listens:
    """Implements every hook of a run. Each takes a second, so that the reports tell what comes after what."""

    @hookimpl
    def pre_shutdown(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def on_guest_stop(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def on_guest_stuck(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def on_guest_stopped(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def post_shutdown(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def pre_restore(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def on_guest_start(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def guest_ready(self, run: Run) -> bool:
        return run.elapsed() >= _NOT_READY

    @hookimpl
    def on_guest_started(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def post_restore(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def pre_sleep(self, run: Run) -> None:
        run.sleep(1)

    @hookimpl
    def post_wake(self, run: Run) -> None:
        run.sleep(1)


@cache
def _runs() -> tuple[Report, ...]:
    """A host goes down and comes back, and later sleeps: `web` needs `db`, which is deaf to its power button."""
    with tempfile.TemporaryDirectory(prefix="lastcall-book-") as folder:
        lab = Lab(Path(folder), plugins={"listens": _Listens()}, config=_CONFIG)
        lab.guest("web", takes=4)
        lab.guest("db").is_deaf_to("acpi")
        return lab.shutdown(reason=Reason.POWEROFF), lab.restore(), lab.go_to_sleep(), lab.wake()


def picture(hook: str = "") -> str:
    """The runs, a column for the run and one for each guest; the lines of `hook` are marked."""
    return "\n\n".join(
        "\n".join([title, *_rows(report, hook)])
        for title, report in zip(("shutdown", "restore", "before a sleep", "after it"), _runs(), strict=True)
        if not hook or hook in {record.hook for _, record in _records(report)}
    )


def _records(report: Report) -> Iterator[tuple[int, HookRecord]]:
    yield from ((0, record) for record in report.hooks)
    for column, guest in enumerate(report.guests, 1):
        yield from ((column, record) for record in guest.hooks)


def _rows(report: Report, hook: str) -> list[str]:
    guests = report.guests
    climbed = [(column, attempt) for column, guest in enumerate(guests, 1) for attempt in guest.attempts]
    happened = [(attempt.started, column, f"· {attempt.method}") for column, attempt in climbed]
    happened += [(record.started, column, record.hook) for column, record in _records(report)]
    rows = [_line("seconds", "the run", *(guest.name for guest in guests))]
    # Sorting is stable: of the same moment an attempt comes before the hook that tells of its end.
    for at, column, what in sorted(happened, key=lambda one: one[0]):
        cells = ["" for _ in (0, *guests)]
        cells[column] = f"{what} {MARK}" if what == hook else what
        rows.append(_line(f"{at:.0f}", *cells))
    return rows


def _line(at: str, *cells: str) -> str:
    return f"{at:>8}  {''.join(cell.ljust(WIDTH) for cell in cells)}".rstrip()

"""A whole plugin: options for the host and for single guests, two hooks, and a check."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from lastcall import Guest, PluginOptions, Problem, Report, Run, TextFile, hookimpl
from lastcall.options import Options


class Settings(Options):
    """The section `plugins.door_sign`."""

    file: str = Field(default="/run/closed", description="Where the sign is written.")


class ForGuest(Options):
    """The guest key `door_sign`."""

    mention: bool = Field(default=True, description="Mention this guest on the sign.")


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare both."""
    return PluginOptions(settings=Settings, guest=ForGuest)


@hookimpl
def check(run: Run) -> Iterable[Problem]:
    """Look whether the sign could be written."""
    folder = Path(run.options(Settings).file).parent
    if folder.is_dir():
        return []
    return [Problem(what="door_sign", where=str(folder), message="is no folder", remedy=f"mkdir -p {folder}")]


@hookimpl
def on_guest_stop(guest: Guest, run: Run) -> None:
    """Remember whom to mention, in the folder that survives."""
    if run.rehearsal:  # the guest goes on
        return
    if run.options(ForGuest, guest).mention:
        TextFile(run.folder / f"{guest.file_name}.txt").write(guest.name)


@hookimpl
def post_shutdown(run: Run, report: Report) -> None:
    """Write the sign; not in a rehearsal, which changes nothing."""
    if run.rehearsal:
        run.log(f"would write {run.options(Settings).file}")
        return
    notes = [TextFile(run.folder / f"{guest.file_name}.txt") for guest in run.guests]
    names = [name for note in notes if (name := note.read())]
    for note in notes:
        note.remove()
    Path(run.options(Settings).file).write_text(
        f"closed ({run.reason}), {len(report.guests)} guests: {' '.join(names)}\n"
    )

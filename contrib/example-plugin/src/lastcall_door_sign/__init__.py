"""Door sign: says who was running while the host is closed.

lastcall finds everything here that is marked with `@hookimpl`, by its name.
"""

import shlex

from lastcall import Guest, PluginOptions, Problem, Report, Run, TextFile, hookimpl

from lastcall_door_sign.command import register_commands as register_commands
from lastcall_door_sign.options import ForGuest, Settings
from lastcall_door_sign.shell import guest_shells as guest_shells
from lastcall_door_sign.stop_method import stop_methods as stop_methods


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare what can be set."""
    return PluginOptions(settings=Settings, guest=ForGuest)


@hookimpl
def check(run: Run) -> list[Problem]:
    """Tell `lastcall check` what a shutdown would stumble over."""
    folder = run.options(Settings).file.parent
    if folder.is_dir():
        return []
    return [
        Problem(
            what="door_sign",
            where=str(folder),
            message="is no folder",
            remedy=f"mkdir -p {shlex.quote(str(folder))}",
        )
    ]


@hookimpl
def on_guest_stop(guest: Guest, run: Run) -> None:
    """Note a guest that is about to be asked to stop."""
    if run.rehearsal:  # as `lastcall hook` fires it: nobody is going to be stopped
        return
    if run.options(ForGuest, guest).mention:
        note_of(guest, run).write(guest.name)


@hookimpl
def post_shutdown(run: Run, report: Report) -> None:
    """Say who was running, once everybody is off."""
    file = run.options(Settings).file
    if run.rehearsal:
        run.log(f"would write {file}")
        return
    notes = [note_of(guest, run) for guest in run.guests]
    names = [name for note in notes if (name := note.read())]
    for note in notes:
        note.remove()
    file.write_text(f"closed ({run.reason}), {len(report.guests)} guests: {' '.join(names)}\n")
    run.evidence(mentioned=len(names))


def note_of(guest: Guest, run: Run) -> TextFile:
    """A file in the plugin's own folder, which survives a crash and a reboot."""
    return TextFile(run.folder / f"{guest.file_name}.txt")

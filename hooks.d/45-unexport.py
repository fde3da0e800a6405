"""Sample drop-in: take the NFS exports of a storage guest back, and bring what it has to its disks, before it stops.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others) and say which guests it is for. They need a
guest shell; whoever mounts from them is to stop first:

    guests:
      - match: nas
        shell: [agent, ssh]
        unexport: {}
      - match: "web-*"
        depends_on: [nas]

A guest that boots exports by itself. One that goes on, as it was saved or could not be stopped, exports again what its
/etc/exports says. It is for every reason; in a rehearsal it says what it would take back.
"""

from pydantic import Field

import lastcall
from lastcall.options import Options

NOT_FOUND = 127  # what a shell says of a command that is not there
BACK = {lastcall.Outcome.STARTED, lastcall.Outcome.RESUMED, lastcall.Outcome.PRESENT, lastcall.Outcome.UNREADY}


class ForGuest(Options):
    """The guest key `unexport`."""

    sync: bool = Field(default=True, description="Bring what is written to the disks, too.")


@lastcall.hookimpl
def plugin_options() -> lastcall.PluginOptions:
    """Declare the guest key."""
    return lastcall.PluginOptions(guest=ForGuest, only_where_set=True)


@lastcall.hookimpl
def on_guest_stop(guest: lastcall.Guest, run: lastcall.Run) -> None:
    """Fires while the guest still runs, and whoever depends on it is off."""
    shell = run.shell(guest)
    listed = shell.run(["exportfs", "-s"])
    if listed.exit_code == NOT_FOUND:
        raise lastcall.Skip("there is no exportfs in it")
    exports = listed.check().stdout.splitlines()
    if run.rehearsal:
        run.log(f"would take {len(exports)} exports back")
        return
    run.evidence(exports=len(exports))
    if exports:
        _file(guest, run).write("\n".join(exports) + "\n")
        # First: what is written after the flush would not be on the disks.
        shell.run(["exportfs", "-ua"]).check()
    if run.options(ForGuest, guest).sync:
        run.evidence(sync=round(shell.run(["sync"]).check().duration, 2))


@lastcall.hookimpl
def on_guest_stopped(guest: lastcall.Guest, result: lastcall.GuestResult, run: lastcall.Run) -> None:
    """Fires when the guest is off, or is given up."""
    if result.outcome is lastcall.Outcome.LEFT and run.voluntary:
        _export_again(guest, run)


@lastcall.hookimpl
def on_guest_started(guest: lastcall.Guest, result: lastcall.GuestResult, run: lastcall.Run) -> None:
    """Fires when the guest is back, or is given up."""
    if result.outcome in BACK:
        _export_again(guest, run)


def _export_again(guest: lastcall.Guest, run: lastcall.Run) -> None:
    note = _file(guest, run)
    if note.read() is None:
        raise lastcall.Skip("nothing in it was taken back")
    if run.rehearsal:
        run.log("would export again")
        return
    run.shell(guest).run(["exportfs", "-ra"]).check()
    note.remove()


def _file(guest: lastcall.Guest, run: lastcall.Run) -> lastcall.TextFile:
    return lastcall.TextFile(run.folder / guest.file_name)

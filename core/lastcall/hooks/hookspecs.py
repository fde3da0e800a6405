"""Every hook of lastcall. Argument names are for ever; an implementation takes those it needs.

Implementations are called one by one, each in its own time box (`hooks.timeout`). One that raises, hangs or returns
something unusable is recorded and the run goes on; `raise Skip("why")` records it as skipped, `HookFailed("why")` as
failed without a traceback.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lastcall.api.guests import Guest
from lastcall.api.markers import hookspec
from lastcall.api.power import PowerPolicy, Supply
from lastcall.api.results import Attempt, CheckFindings, GuestResult, Report
from lastcall.api.run import Json, PluginOptions, Run
from lastcall.api.shell import GuestShell
from lastcall.api.stopping import StopMethod
from lastcall.errors import Problem

if TYPE_CHECKING:
    import click


@hookspec
def plugin_options() -> PluginOptions | None:  # pyright: ignore[reportReturnType]
    """Declare the models of this plugin's options.

    Fires once, when plugins are loaded. Returns `PluginOptions(settings=…, guest=…)`: pydantic models (subclasses of
    `lastcall.options.Options`) for the section `plugins.<name>` and for the guest key `<name>`. When it raises, the
    plugin's sections stay unread and the failure is reported.

    Example:
        class Settings(Options):
            url: str = "https://example.org"

        @hookimpl
        def plugin_options() -> PluginOptions:
            return PluginOptions(settings=Settings)
    """


@hookspec
def stop_methods() -> Iterable[StopMethod[Any]]:  # pyright: ignore[reportReturnType]
    """Offer stop methods to ladders.

    Fires once, when plugins are loaded. Returns instances of `StopMethod`. Of two methods with one name a drop-in's
    beats a package's beats a bundled one. When it raises, the plugin offers none and the failure is reported.

    Example:
        class SuspendToDisk(StopMethod[StepOptions]):
            name = "suspend"
            options = StepOptions

            def request(self, call: StopRequest[StepOptions]) -> None:
                call.run.domain(call.guest).agent("guest-suspend-disk")

        @hookimpl
        def stop_methods() -> list[SuspendToDisk]:
            return [SuspendToDisk()]
    """


@hookspec
def guest_shells() -> Iterable[GuestShell]:  # pyright: ignore[reportReturnType]
    """Offer ways to run commands inside guests.

    Fires once, when plugins are loaded. Returns instances of `GuestShell`. When it raises, the plugin offers none and
    the failure is reported.

    Example:
        import subprocess

        class Session(ShellSession):
            def __init__(self, guest: Guest) -> None:
                self._enter = ["virsh", "-c", guest.uri, "lxc-enter-namespace", guest.name, "--"]

            def execute(self, command: Command) -> CommandResult:
                words = [*self._enter, *command.argv]
                done = subprocess.run(words, input=command.input, capture_output=True, timeout=command.timeout)
                out, err = done.stdout.decode(), done.stderr.decode()
                return CommandResult(
                    exit_code=done.returncode, stdout=out, stderr=err, truncated=False, duration=0.0, shell="lxc"
                )

            def close(self) -> None:
                pass

        class Container(GuestShell):
            name = "lxc"

            def connect(self, guest: Guest, run: Run) -> ShellSession:
                return Session(guest)

        @hookimpl
        def guest_shells() -> list[Container]:
            return [Container()]
    """


@hookspec
def register_commands(group: "click.Group") -> None:
    """Add subcommands to `lastcall`.

    Fires when the command line is loaded and names a command that the core does not have. `group` is the click group
    of `lastcall`. Its commands and their subcommands are handed a `lastcall.CommandLine` by `@click.pass_obj`. Returns
    nothing. When it raises, the plugin's commands are missing and the failure is reported.

    Example:
        import click

        @click.command("doorbell")
        def doorbell() -> None:
            click.echo("ding")

        @hookimpl
        def register_commands(group: click.Group) -> None:
            group.add_command(doorbell)
    """


@hookspec
def check(run: Run) -> Iterable[Problem] | None:
    """Look for what would make a run fail.

    Fires in `lastcall check`. Returns problems with remedies, or None. When it raises, that is reported as a problem.

    Example:
        from pathlib import Path

        @hookimpl
        def check() -> list[Problem]:
            if Path("/mnt/backup").is_mount():
                return []
            return [Problem(what="mount", where="/mnt/backup", message="is not mounted", remedy="mount it")]
    """


@hookspec
def check_guest(guest: Guest, run: Run) -> Iterable[Problem] | None:
    """Look for what would make the stop or start of one guest fail.

    Fires in `lastcall check`, per guest. Returns problems with remedies, or None. When it raises, that is reported.

    Example:
        @hookimpl
        def check_guest(guest: Guest, run: Run) -> list[Problem]:
            if run.domain(guest).agent_connected():
                return []
            return [Problem(what="agent", where=guest.name, message="no agent answers", remedy="install qemu-ga")]
    """


@hookspec
def guest_busy(guest: Guest, run: Run) -> Iterable[str] | None:  # pyright: ignore[reportReturnType]
    """Say why a guest should not be stopped now.

    Fires per running guest: in `lastcall check`, which warns; before a drill, which leaves it alone; in a run by hand,
    which says it before it asks anybody. In a host stop it fires beside everything else, until the guest's turn has
    come; that only records it. Returns the reasons, a text each, or None. When it raises, that is recorded, and nobody
    is busy because of it.

    Example:
        @hookimpl
        def guest_busy(guest: Guest, run: Run) -> list[str]:
            locked = run.shell(guest).run(["test", "-e", "/run/backup.lock"]).exit_code == 0
            return ["its backup is running"] if locked else []
    """


@hookspec
def guest_waits(guest: Guest, run: Run) -> Iterable[str] | None:  # pyright: ignore[reportReturnType]
    """Name what a guest has to wait for outside of this host, before it is stopped.

    Fires per guest when its turn has come, before `on_guest_stop`, and again one second after each answer, until nobody
    names anything: the core waits between the calls, so that no time box counts. It takes no `parallel` slot meanwhile,
    and everybody is asked at the latest moment for that, whatever is still named. `lastcall plan` fires it once, and
    shows the names. Returns names, a text each, or None. When it raises, it has named nothing.

    Example:
        @hookimpl
        def guest_waits(guest: Guest, run: Run) -> list[str]:
            held = run.folder / "holds" / guest.name  # touched and removed by the site's own coordinator
            return ["the site's coordinator"] if held.exists() else []
    """


@hookspec
def post_check(run: Run, findings: CheckFindings) -> Iterable[Problem] | None:
    """React to what a check has found.

    Fires once at the end of `lastcall check`, after all others have looked. Returns problems that it sees only now, as
    by the forecast, or None. `run` is that of the check, a rehearsal: no guest may be touched. When it raises, that is
    reported as a problem.

    Example:
        @hookimpl
        def post_check(run: Run, findings: CheckFindings) -> None:
            TextFile(run.folder / "last-check").write(f"{findings.at}: {len(findings.problems)} problems")
    """


@hookspec
def describe_guest(guest: Guest, run: Run) -> Mapping[str, Json] | None:
    """Tell facts about a guest.

    Fires in `lastcall -v plan`, per guest. Returns a mapping of facts to show, or None. When it raises, that is shown.

    Example:
        @hookimpl
        def describe_guest(guest: Guest, run: Run) -> dict[str, Json]:
            return {"addresses": list(run.domain(guest).addresses())}
    """


@hookspec
def guest_settings(guest: Guest, run: Run) -> Mapping[str, Json] | None:
    """Tell settings of a guest that are kept elsewhere, such as in Pacemaker or an inventory.

    Fires per guest, when a plan is made, before the configuration's rules are applied: they win. Returns a mapping of
    guest keys as in a rule, or None. Must not change anything. When it raises, that is a problem and the guest
    has no such settings (`on_failure: skip_guest`: it is left alone in a run by hand, and asked last in a host stop).

    Example:
        @hookimpl
        def guest_settings(guest: Guest) -> dict[str, Json] | None:
            return {"manage": False} if guest.name.startswith("ha-") else None
    """


@hookspec
def power_policy(run: Run) -> PowerPolicy | None:
    """Say what this site wants when the mains fail.

    Fires whenever UPSes are asked: at `lastcall power`, during an outage, and before a restore at boot. Returns a
    `PowerPolicy`, or None for no opinion; the first one in the firing order counts. When it raises, that is recorded,
    and the defaults count.

    Example:
        @hookimpl
        def power_policy() -> PowerPolicy:
            return PowerPolicy(return_after=300, restore_charge=40)
    """


@hookspec
def power_supplies(run: Run) -> Iterable[Supply] | None:  # pyright: ignore[reportReturnType]
    """Say what UPSes tell now.

    Fires at `lastcall power low`, every few seconds during an outage, and before a restore at boot; all plugins
    together have 5 seconds at most. Returns a `Supply` for each UPS, also for one that does not answer, or None. What a
    UPS claims is handed on as it is: whether that can be is judged afterwards. When it raises, that is recorded, and
    this plugin knows of no UPS.

    Example:
        from pathlib import Path

        @hookimpl
        def power_supplies() -> list[Supply]:
            found = Path("/sys/class/power_supply").glob("BAT*/capacity")
            return [Supply(name=one.parent.name, charge=float(TextFile(one).read() or 0)) for one in found]
    """


@hookspec
def pre_shutdown(run: Run) -> None:
    """Prepare for the shutdown.

    Fires once, before any guest is touched; the state file is already on disk. Returns nothing. When it raises, the
    run goes on (`on_failure: abort` ends a voluntary run). All implementations together get `hooks.pre_budget`.

    Example:
        @hookimpl
        def pre_shutdown(run: Run) -> None:
            run.log(f"{len(run.guests)} guests are about to stop")
    """


@hookspec
def on_guest_stop(guest: Guest, run: Run) -> None:
    """Do what has to happen in or for a guest before it stops.

    Fires per guest, while it still runs and everything that depends on it is done. Returns nothing. When it raises, the
    guest is stopped all the same (`on_failure: skip_guest` does not ask it now).

    Example:
        @hookimpl
        def on_guest_stop(guest: Guest, run: Run) -> None:
            run.shell(guest).run("sync", timeout=10).check()
    """


@hookspec
def on_guest_stuck(guest: Guest, attempts: Sequence[Attempt], run: Run) -> None:
    """Look at a guest that did not stop, before the last resort.

    Fires per guest, when its ladder is over and it still runs. `attempts` are those that were made. There are 5 seconds
    at most. Returns nothing. When it raises, that is recorded.

    Example:
        from collections.abc import Sequence

        @hookimpl
        def on_guest_stuck(guest: Guest, attempts: Sequence[Attempt], run: Run) -> None:
            run.log(f"{guest.name} did not stop by {', '.join(attempt.method for attempt in attempts)}")
    """


@hookspec
def on_guest_stopped(guest: Guest, result: GuestResult, run: Run) -> None:
    """React to a guest that is off, or was given up.

    Fires per guest, after its last attempt. `result` says what became of it. Returns nothing. When it raises, that is
    recorded.

    Example:
        @hookimpl
        def on_guest_stopped(guest: Guest, result: GuestResult, run: Run) -> None:
            run.log(f"{guest.name}: {result.outcome} after {result.duration:.1f} s")
    """


@hookspec
def post_shutdown(run: Run, report: Report) -> None:
    """Do what comes after the last guest.

    Fires once, after the last guest. `report` is so far, lacking this hook itself. Returns nothing. When it raises,
    that is recorded.

    Example:
        @hookimpl
        def post_shutdown(run: Run, report: Report) -> None:
            if not run.rehearsal:
                TextFile(run.folder / "last").write(f"{run.reason}: {len(report.guests)} guests")
    """


@hookspec
def pre_restore(run: Run) -> None:
    """Prepare for the restore.

    Fires once, before any guest starts. Returns nothing. When it raises, the run goes on (`on_failure: abort` ends it;
    nothing is lost, the list of guests stays).

    Example:
        import subprocess

        @hookimpl
        def pre_restore(run: Run) -> None:
            if not run.rehearsal:
                words = ["mount", "/srv/images"]
                subprocess.run(words, env=run.environment(), check=True, timeout=run.remaining())
    """


@hookspec
def on_guest_start(guest: Guest, run: Run) -> None:
    """Prepare for the start of one guest.

    Fires per guest, before it is started. Returns nothing. When it raises, the guest is started all the same
    (`on_failure: skip_guest` leaves it off and on the list).

    Example:
        import subprocess

        @hookimpl
        def on_guest_start(guest: Guest, run: Run) -> None:
            if not run.rehearsal:
                words = ["cryptsetup", "open", f"/dev/vg0/{guest.uuid}", guest.uuid, "--key-file", "/etc/lastcall/key"]
                subprocess.run(words, env=run.environment(guest), check=True, timeout=run.remaining())
    """


@hookspec
def guest_ready(guest: Guest, run: Run) -> bool | None:
    """Say whether a started guest is ready.

    Fires per guest, again one second after each round of answers, until nobody says False or its time
    (`ready_timeout`) is over; `run.elapsed()` tells how long that has been going on. Returns True, False, or None for
    no opinion. When it raises, that counts as None.

    Example:
        @hookimpl
        def guest_ready(guest: Guest, run: Run) -> bool:
            return run.domain(guest).agent_connected()
    """


@hookspec
def on_guest_started(guest: Guest, result: GuestResult, run: Run) -> None:
    """React to a guest that is running and ready, or was given up.

    Fires per guest, when it is ready, was already there, or no further attempt is made. `result` says what became of
    it. Returns nothing. When it raises, that is recorded.

    Example:
        @hookimpl
        def on_guest_started(guest: Guest, result: GuestResult, run: Run) -> None:
            run.log(f"{guest.name}: {result.outcome}")
    """


@hookspec
def post_restore(run: Run, report: Report) -> None:
    """Do what comes after the last guest is back.

    Fires once, after the last guest. `report` is so far, lacking this hook itself. Returns nothing. When it raises,
    that is recorded.

    Example:
        @hookimpl
        def post_restore(run: Run, report: Report) -> None:
            run.log(f"{len(report.guests)} guests are back")
    """


@hookspec
def pre_sleep(run: Run) -> None:
    """Prepare for the sleep of the host.

    Fires once, before the host is suspended or hibernated and before any guest is paused or saved for it. `run.guests`
    are all that are active. The host waits: all implementations together get 15 seconds. Returns nothing.
    When it raises, that is recorded.

    Example:
        import subprocess

        @hookimpl
        def pre_sleep(run: Run) -> None:
            if not run.rehearsal:
                words = ["systemctl", "stop", "backup-of-guests.service"]
                subprocess.run(words, env=run.environment(), check=True, timeout=run.remaining())
    """


@hookspec
def post_wake(run: Run) -> None:
    """Do what comes after the host has woken.

    Fires once, when those go on that were paused or saved for the sleep, and clocks are set. It fires after each
    waking, also where nothing could be done before the sleep. Returns nothing. When it raises, that is recorded.

    Example:
        @hookimpl
        def post_wake(run: Run) -> None:
            run.log(f"{len(run.guests)} guests are awake again")
    """

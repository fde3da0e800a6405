"""SSH into guests: guest shell `ssh`, stop method `ssh`, and `lastcall ssh enroll`. paramiko loads when it is used."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from lastcall import (
    Command,
    Guest,
    GuestShell,
    PluginOptions,
    Problem,
    Run,
    Severity,
    ShellLost,
    ShellRefused,
    ShellSession,
    StopMethod,
    StopRequest,
    hookimpl,
)
from lastcall.options import COMMAND, StepOptions
from lastcall_plugins.ssh.settings import SshSettings, settings_of

if TYPE_CHECKING:
    import click


class Ssh(GuestShell):
    """Runs commands over SSH."""

    name = "ssh"

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        """Find the guest's address, verify its host key, log in."""
        # Not at the top: paramiko takes 120 ms to import, which hosts without SSH guests should not wait for.
        from lastcall_plugins.ssh.session import log_in

        return log_in(guest, run, settings_of(guest, run))


class PowerOffOptions(StepOptions):
    """Options of the stop method `ssh`."""

    command: str = Field(
        default="poweroff", description="The command line that powers the guest off.", json_schema_extra=COMMAND
    )


class PowerOff(StopMethod[PowerOffOptions]):
    """Logs in and runs a command that powers the guest off."""

    name = "ssh"

    def request(self, call: StopRequest[PowerOffOptions]) -> None:
        """Run it. That the connection ends with it is no failure: the guest's state tells."""
        seconds = min(call.run.remaining(), call.options.timeout or call.run.remaining())
        session = Ssh().connect(call.guest, call.run)
        try:
            command = Command(argv=("/bin/sh", "-c", call.options.command), timeout=seconds)
            session.execute(command).check()
        except ShellLost:
            # The guest took the connection with it as it went, or it broke: whether the guest goes off decides.
            pass
        finally:
            session.close()


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare `plugins.ssh` and the guest key `ssh`, which overrides it."""
    return PluginOptions(settings=SshSettings, guest=SshSettings)


@hookimpl
def guest_shells() -> Iterable[GuestShell]:
    """Offer `ssh`."""
    return [Ssh()]


@hookimpl
def stop_methods() -> Iterable[StopMethod[Any]]:
    """Offer `ssh`."""
    return [PowerOff()]


@hookimpl
def check_guest(guest: Guest, run: Run) -> Iterable[Problem]:
    """Say whose host key is not enrolled: nobody logs in there."""
    from lastcall_plugins.ssh.hostkeys import KnownKeys

    settings = run.settings(guest)
    if Ssh.name not in settings.stop + settings.shell:
        return
    try:
        if KnownKeys(guest, run).read():
            return
        message, remedy = "its host key is not enrolled: nobody can log in", f"`lastcall ssh enroll {guest.name}`"
    except ShellRefused as error:
        message, remedy = str(error), error.remedy
    # Where there is another way, that one is taken.
    alone = {Ssh.name} in (set(settings.stop), set(settings.shell))
    severity = Severity.ERROR if alone else Severity.WARNING
    yield Problem(what="ssh", where=guest.name, message=message, remedy=remedy, severity=severity)


@hookimpl
def register_commands(group: "click.Group") -> None:
    """Add `lastcall ssh`."""
    from lastcall_plugins.ssh.commands import ssh

    group.add_command(ssh)

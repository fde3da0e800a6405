"""Tells people elsewhere, by Apprise and MQTT: before a host stop, of guests that were forced off, after boot, and of
errors that a check by the timer finds.

Nothing is sent by the run itself: a message is put on disk, and a process of its own takes it from there. What does so
(`telling`) loads where somebody is to be told: every start of the program loads this module.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lastcall import CheckFindings, PluginOptions, Problem, Report, Run, hookimpl
from lastcall_plugins.notify.settings import NotifySettings

if TYPE_CHECKING:
    import click


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare `plugins.notify`; where it is not set, no run knows of this plugin."""
    return PluginOptions(settings=NotifySettings, only_where_set=True)


@hookimpl
def register_commands(group: "click.Group") -> None:
    """Add `lastcall notify`."""
    from lastcall_plugins.notify.commands import notify

    group.add_command(notify)


@hookimpl
def check(run: Run) -> Iterable[Problem]:
    """Find what would keep messages from being sent, and those that were not."""
    from lastcall_plugins.notify.advice import problems

    return problems(run, run.options(NotifySettings))


@hookimpl(tryfirst=True)
def pre_shutdown(run: Run) -> None:
    """Have it told that the host is about to stop; returns at once, so that nobody who comes later has to wait."""
    from lastcall_plugins.notify.telling import tell_stopping

    tell_stopping(run, run.options(NotifySettings))


@hookimpl(trylast=True)
def post_shutdown(run: Run, report: Report) -> None:
    """Have it told who did not stop as planned; waits for that, as the end of the unit ends our processes.

    Last: what others do there, such as switching off a disk shelf, cannot be done after the boot.
    """
    from lastcall_plugins.notify.telling import tell_stopped

    tell_stopped(run, run.options(NotifySettings), report)


@hookimpl(trylast=True)
def post_restore(run: Run, report: Report) -> None:
    """Have it told that the guests are back, with what is left from the shutdown; systemd goes on with it."""
    from lastcall_plugins.notify.telling import tell_restored

    tell_restored(run, run.options(NotifySettings), report)


@hookimpl
def post_check(run: Run, findings: CheckFindings) -> None:
    """Have it told that the errors are others than at the last check by the timer; what waits is tried again."""
    from lastcall_plugins.notify.telling import tell_checked

    tell_checked(run, run.options(NotifySettings), findings)

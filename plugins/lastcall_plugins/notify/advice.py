"""What `lastcall check` says of `notify`: what would keep messages from being sent, and those that were not."""

from collections.abc import Iterable

from lastcall import Problem, Run, Severity
from lastcall_plugins.notify import apprise_door, mqtt
from lastcall_plugins.notify.addresses import addresses_of
from lastcall_plugins.notify.messages import Unsent
from lastcall_plugins.notify.sending import outcomes, start
from lastcall_plugins.notify.settings import NotifySettings


def problems(run: Run, settings: NotifySettings) -> Iterable[Problem]:
    """All there are. Nobody outside is asked: that is what `lastcall notify test` is for."""
    found, failed = addresses_of(settings.urls)
    for error in failed:
        yield _problem("plugins.notify.urls", str(error), error.remedy)
    if settings.urls and not apprise_door.is_installed():
        yield _problem("plugins.notify.urls", "apprise is not installed", apprise_door.INSTALL)
    elif settings.urls and not found and not failed:
        yield _problem("plugins.notify.urls", "there is no address in it", "write one a line")
    elif found:
        # Elsewhere: whatever Apprise does as it is imported is done in a process that ends.
        seconds = run.remaining() / 2
        for one in outcomes(start(run, settings, limit=seconds, look=True), seconds):
            if one.why:
                yield _problem(one.place, one.why, "what it knows: https://github.com/caronc/apprise/wiki")
    if settings.mqtt and not mqtt.is_installed():
        yield _problem("plugins.notify.mqtt", "paho-mqtt is not installed", mqtt.INSTALL)
    waiting = Unsent(run.folder, settings.keep).everything()
    if waiting:
        why = next((f": {one.why}" for one in reversed(waiting) if one.why), "")
        yield _problem(
            "plugins.notify", f"{len(waiting)} messages wait to be sent{why}", "lastcall notify flush", mild=True
        )


def _problem(where: str, message: str, remedy: str, *, mild: bool = False) -> Problem:
    severity = Severity.WARNING if mild else Severity.ERROR
    return Problem(what="notify", where=where, message=message, remedy=remedy, severity=severity)

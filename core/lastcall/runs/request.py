"""What is asked of a run: its kind, its reason, its limit, and whom it tells how it goes on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import field

from lastcall.api.guests import Reason, RunKind
from lastcall.config.settings import Settings
from lastcall.errors import UsageError
from lastcall.formats.values import value
from lastcall.records.records import Sink
from lastcall.timing.deadline import soonest


@value(kw_only=True)
class RunRequest:
    """What is asked for: kind, reason, a deadline that overrides the configured one, and where lines of progress go.

    `announced`: seconds that somebody has announced for it; they count where they are less. `tick` is called every
    second, on the loop's thread, with the seconds since the start; `goes_on`, before there is a loop, as often while
    another run that has become this one goes on, with the seconds from the start to its end. `stopping` says why
    systemd stops the host, None where it does not; `reboots` has it reboot the host instead of powering it off. Both
    may block.
    """

    kind: RunKind
    reason: Reason = Reason.MANUAL
    deadline: float | None = None
    announced: float | None = None
    rehearsal: bool = False
    sinks: Sequence[tuple[str, Sink]] = ()
    tick: Callable[[float], None] | None = None
    goes_on: Callable[[float], None] = lambda _: None
    stopping: Callable[[], Reason | None] = lambda: None
    reboots: Callable[[], None] | None = None
    started: float = field(default_factory=time.monotonic)

    def limit(self, settings: Settings) -> float | None:
        """Seconds that the run may take; None = as long as it takes. Raises UsageError for a host stop without end."""
        return soonest(self.own_limit(settings), self.announced)

    def own_limit(self, settings: Settings) -> float | None:
        """The same, whatever was announced."""
        section = settings.shutdown if self.kind is RunKind.SHUTDOWN else settings.restore
        limit = self.deadline if self.deadline is not None else section.deadline
        if limit is None and not self.reason.voluntary:
            raise UsageError("a host stop needs a deadline: shutdown.deadline is none", "set it, or give --deadline")
        return limit

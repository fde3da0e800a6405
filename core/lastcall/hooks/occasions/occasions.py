"""Whether a plugin's hooks are meant for a run: for its reason, and for a rehearsal."""

from lastcall.api.guests import Reason
from lastcall.api.reasons import HOST, reasons_of
from lastcall.formats.values import value
from lastcall.hooks.order import RESTORE_HOOKS

_OF_RESTORES = frozenset({Reason.MANUAL, Reason.BOOT, Reason.DRILL, Reason.SHED})
_OF_SHUTDOWNS = frozenset(Reason) - {Reason.BOOT, Reason.SLEEP}
_OF_SLEEPS = frozenset({"pre_sleep", "post_wake"})  # hooks


@value
class Occasions:
    """What somebody has said of when a plugin's hooks run. `words`: the reasons, none = every one.

    `rehearses`: it knows what a rehearsal is, and runs in one.
    """

    words: tuple[str, ...] = ()
    rehearses: bool = True

    def refusal(self, hook: str, reason: Reason, *, rehearsal: bool) -> str:
        """Why a hook does not run now; empty where it does."""
        if self.words and reason not in reasons_of(self.words):
            return f"not run: {self.meant_for(hook)}"
        if rehearsal and not self.rehearses:
            return "not run in a rehearsal: it has no line `# lastcall: rehearse`"
        return ""

    def meant_for(self, hook: str = "") -> str:
        """The reasons as people say them; empty where there are all."""
        host = "the boot of the host" if hook in RESTORE_HOOKS else "host stops"
        said = [host if word == HOST else f"reason {word}" for word in self.words]
        return f"meant for {', '.join(said)}" if said else ""


ALWAYS = Occasions()


def usual_reason(hook: str, asked: Reason) -> Reason:
    """The reason by which a hook is tried: the one that is asked for, or the only one that there is beside `manual`."""
    return Reason.SLEEP if hook in _OF_SLEEPS and asked is Reason.MANUAL else asked


def possible_reasons(hook: str) -> frozenset[Reason]:
    """The reasons that a run which fires this hook can have."""
    if hook in _OF_SLEEPS:
        return frozenset({Reason.SLEEP})
    return _OF_RESTORES if hook in RESTORE_HOOKS else _OF_SHUTDOWNS

"""A hook call that failed, for whoever has fired the hook."""

from lastcall.api.guests import Guest
from lastcall.errors import Problem
from lastcall.formats.values import value


@value
class FailedCall:
    """A call that failed: whose and of which hook, why, and the plugin's own `file:line`."""

    plugin: str
    origin: str
    hook: str
    message: str
    where: str = ""

    @property
    def words(self) -> str:
        """Why, and where."""
        return f"{self.message}, {self.where}" if self.where else self.message

    def problem(self, guest: Guest | None = None) -> Problem:
        """The same as a problem, for a command that has asked."""
        whom = f" for {guest.name}" if guest else ""
        remedy = f"mend it, or add {self.plugin} to hooks.block"
        where = f"{self.plugin} ({self.origin})" if self.origin else self.plugin
        return Problem(what="plugin", where=where, message=f"{self.hook}{whom} failed: {self.words}", remedy=remedy)

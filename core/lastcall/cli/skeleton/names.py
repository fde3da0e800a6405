"""What a new plugin is called, in each of the places where it has a name."""

import re
from importlib.metadata import entry_points

from lastcall.api.guest_keys import is_kept
from lastcall.api.markers import PROJECT
from lastcall.errors import UsageError
from lastcall.formats.values import value
from lastcall.planning.plan import CORE_METHOD, RESUME, WAKE

LONGEST = 30  # characters; of it come names of files, and lines of a hundred characters
# As PEP 503 normalizes the name of a project, so that an index, pip and a folder have one and the same; and none that
# begins with a digit, as neither modules nor fields of pydantic do.
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# YAML 1.1 reads `on: {…}` as a key that is true, and no longer as a text.
_OF_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# The package of the bundled plugins; what a lab, in which the tests of the new one run, has for its own guests; and the
# rungs that a ladder of the core's own is made of.
_OURS = frozenset({"plugins", "lab", CORE_METHOD, RESUME, WAKE})


@value(frozen=True, kw_only=True)
class PluginNames:
    """`command` is what the author says (`door-sign`), and what a command of the plugin is called."""

    command: str

    @property
    def plugin(self) -> str:
        """The entry point: the section `plugins.door_sign`, the guest key, a stop method, a guest shell."""
        return self.command.replace("-", "_")

    @property
    def module(self) -> str:
        """What Python imports."""
        return f"{PROJECT}_{self.plugin}"

    @property
    def project(self) -> str:
        """What an index, pip and the folder call it."""
        return f"{PROJECT}-{self.command}"

    @property
    def title(self) -> str:
        """What people call it, at the beginning of a sentence."""
        return self.command.replace("-", " ").capitalize()


def parse_names(name: str) -> PluginNames:
    """Take `door-sign`, `door_sign` or `lastcall-door-sign`. Raises UsageError for what can be no plugin's name."""
    command = name.replace("_", "-").removeprefix(f"{PROJECT}-")
    if not _NAME.fullmatch(command):
        meant = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].strip("-")
        proposal = f"; did you mean {meant!r}?" if _NAME.fullmatch(meant) else ""
        raise UsageError(
            f"{name!r} cannot be the name of a plugin{proposal}",
            "lower-case letters and digits, in words with one - between them, as in door-sign; a letter comes first",
        )
    if len(command) > LONGEST:
        raise UsageError(f"{name!r} is longer than {LONGEST} characters", "choose a shorter name")
    names = PluginNames(command=command)
    why = _taken(names.plugin)
    if why:
        raise UsageError(f"{name!r} cannot be the name of a plugin: {why}", f"choose another, such as my-{command}")
    return names


def _taken(plugin: str) -> str:
    """Why nobody else's plugin can have this name; empty where it can."""
    from pydantic import BaseModel  # here: pydantic is not free

    if is_kept(plugin):
        return "it is kept for a guest key of lastcall itself"
    if hasattr(BaseModel, plugin):
        return "it cannot be the name of a section in the configuration"
    if plugin in _OF_YAML:
        return "in YAML it is no text"
    bundled = {one.name for one in entry_points(group=PROJECT) if one.module.startswith(f"{PROJECT}_plugins.")}
    return "lastcall has one of that name" if plugin in _OURS | bundled else ""

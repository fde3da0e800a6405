"""The time box of a hook call."""

from lastcall.formats.values import value


@value
class CallBox:
    """The most that one plugin's call may take, in seconds, and the setting that says so."""

    plugin: str
    seconds: float
    set_by: str

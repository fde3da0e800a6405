"""Which version brought a name of the API. Those that are not named here were there from the first one on."""

from collections.abc import Mapping

FIRST = "0.2.0"
LATER: Mapping[str, Mapping[str, str]] = {"lastcall": {}, "lastcall.options": {}, "lastcall.testing": {}}


def since(module: str, name: str) -> str:
    """The version that brought it."""
    return LATER[module].get(name, FIRST)

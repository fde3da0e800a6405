"""Rules that hand something over by a guest's name: whoever may define guests can give one that name."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from lastcall.config.guest_settings import GuestRule
from lastcall.config.nodes import MapNode, locate, path_text
from lastcall.errors import Problem, Severity
from lastcall.options import COMMAND, Secret


def named_rules(root: MapNode, rules: Sequence[GuestRule]) -> Iterator[Problem]:
    """A warning for each rule that gives a secret or a command by name alone. `root`: where the rules stand."""
    for index, rule in enumerate(rules):
        if rule.match.name is None or rule.match.uuid is not None:
            continue  # a UUID is chosen by whoever defines the guest, too; yet libvirt has each of them once
        given = list(dict.fromkeys(_given(rule)))
        if given:
            path = ("guests", index, "match")
            yield Problem(
                what="rule",
                where=str(locate(root, path, key=True)),
                message=f"{path_text(path)}: whoever bears the name {rule.match.name!r} gets {', '.join(given)}",
                remedy="where others may define guests, `match: {uuid: …}` (`virsh domuuid NAME`)",
                severity=Severity.WARNING,
            )


def _given(part: object, path: str = "") -> Iterator[str]:
    """What is handed over, and by which key."""
    if isinstance(part, Secret):
        yield f"a secret ({path})"
    elif isinstance(part, list | tuple):
        for item in part:  # pyright: ignore[reportUnknownVariableType]
            yield from _given(item, path)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(part, BaseModel):
        fields = type(part).model_fields
        for name in (name for name in fields if name in part.model_fields_set):
            below = f"{path}.{name}" if path else name
            if fields[name].json_schema_extra == COMMAND:
                yield f"a command ({below})"
            else:
                yield from _given(getattr(part, name), below)

"""The section `units`: ours among those of the host."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from lastcall.config.guest_settings import Section
from lastcall.formats.nearest import nearest

_UNIT_KINDS = ("service", "socket", "target", "mount", "automount", "swap", "path", "timer", "slice", "scope", "device")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.([a-z]+)")


def _unit_name(name: str) -> str:
    found = _UNIT.fullmatch(name)
    if found and found[1] in _UNIT_KINDS and "@." not in name:
        return name
    if "@." in name:
        raise ValueError(f"{name!r} is a template: name its instance, such as {name.replace('@.', '@name.')!r}")
    if re.fullmatch(r"[A-Za-z0-9:_.\\@-]{1,240}", name):
        stem, _, kind = name.rpartition(".")
        close = nearest(kind, _UNIT_KINDS) if stem else ""
        meant = f"{stem}.{close}" if close else f"{name}.service"
        raise ValueError(f"{name!r} is no unit's name; did you mean {meant!r}?")
    raise ValueError(f"{name[:100]!r} is no unit's name, such as 'etcd.service'")


class UnitSettings(Section):
    """Our units among the host's."""

    after: tuple[Annotated[str, AfterValidator(_unit_name)], ...] = Field(
        default=(),
        strict=False,
        max_length=100,
        description="Units that a stop needs: systemd stops them after the last guest. `lastcall install` tells it so.",
    )

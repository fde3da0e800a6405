"""What can be set, with defaults and descriptions: lastcall judges it, and tells file and line."""

from pathlib import Path

from lastcall.options import Options
from pydantic import Field


class Settings(Options):
    """The section `plugins.door_sign` of the configuration."""

    file: Path = Field(
        default=Path("/run/lastcall-door-sign"),
        description="Where it says who was running.",
    )


class ForGuest(Options):
    """The guest key `door_sign`."""

    mention: bool = Field(default=True, description="Whether it says so of this guest.")

"""The pydantic bases with which a plugin declares its own options. Imported on demand: pydantic is not free."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from lastcall.durations import parse_duration

BY_METADATA: JsonDict = {"by_metadata": True}
"""`Field(json_schema_extra=BY_METADATA)` lets a guest's own metadata set this field. Never mark a command."""

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|min|h|d))+$"},
                {"type": "number", "minimum": 0},
            ],
            "description": "a duration such as 90s, 4min or 1h30m, or plain seconds",
        }
    ),
]
"""Seconds as a float, written `90s`, `4min`, `1h30m` or as a plain number; never a boolean, never negative."""


class Options(BaseModel):
    """Base for the options of a plugin (`plugins.<name>`) or of a guest (`<name>:` in a rule)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class StepOptions(Options):
    """Base for the options of a stop method, written behind its name in a ladder."""

    timeout: Duration | None = Field(
        default=None,
        gt=0,
        description="How long the guest may take from the request on, before the next rung is tried.",
        json_schema_extra=BY_METADATA,
    )


class RepeatableOptions(StepOptions):
    """Base for the options of a stop method that may be asked for again."""

    resend: Duration = Field(
        default=10.0,
        description="Ask again after this time, for guests that overhear the first request; 0 = never.",
        json_schema_extra=BY_METADATA,
    )

"""The pydantic bases with which a plugin declares its own options. Imported on demand: pydantic is not free."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from lastcall.durations import parse_duration

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

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class StepOptions(Options):
    """Base for the options of a stop method, written behind its name in a ladder."""

    timeout: Duration | None = Field(default=None, gt=0)
    """How long the guest may take, counted from when the request is sent, before the next rung is tried."""


class RepeatableOptions(StepOptions):
    """Base for the options of a stop method that may be asked for again."""

    resend: Duration = Field(default=10.0)
    """Ask again after this time, for guests that overhear the first request; 0 = never."""


def instance_of(model: type[Options], values: dict[str, Any]) -> Options:
    """Build a model from plain values; raises pydantic's ValidationError."""
    return model.model_validate(values)

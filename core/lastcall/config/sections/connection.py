"""A connection to libvirt, as it may stand in a configuration."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lastcall.config.guest_settings import Section
from lastcall.options import Duration

# What libvirt's drivers call their daemons and worlds, and hardly anybody his host.
_A_SLASH_TOO_FEW = re.compile(r"([a-z0-9+]+)://(system|session|default|embed)/?")


def _of_a_daemon(text: str) -> str:
    found = _A_SLASH_TOO_FEW.fullmatch(text)
    if found:
        driver, name = found.groups()
        raise ValueError(f"{text!r} means a host called {name!r}; for this host it is {driver}:///{name}")
    return text


LibvirtUri = Annotated[str, Field(min_length=1), AfterValidator(_of_a_daemon)]
"""Checked for what would pass for valid, and never be reached: no guest of it would be stopped."""


class ConnectionSettings(Section):
    """One libvirt connection."""

    uri: LibvirtUri = Field(description="A libvirt URI, or `default` for libvirt's own default.")
    optional: bool = Field(default=False, description="It is no error when it cannot be reached.")
    timeout: Duration = Field(default=10.0, gt=0, description="How long connecting may take.")
    reconnect: Duration = Field(
        default=60.0,
        description="How long a connection that died is tried again by hand; a host stop does not give it up.",
    )
    parallel: int = Field(default=0, ge=0, description="Its guests moving at once, 0 = no limit of its own.")
    watch: bool = Field(
        default=False,
        description="It is another host's, and opened read-only: all of its guests have `manage: watch`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"uri": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form: the URI alone."""
        return {"anyOf": [{"type": "string", "description": "a URI"}, handler(core_schema)]}

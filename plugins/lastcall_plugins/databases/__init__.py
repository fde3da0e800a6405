"""Databases in guests: flushed before the guest stops, with proof. A flush without proof is a failure.

What a client's exit code says is not believed; the server's own figures are, before and after. They stand in the
report. No lock is taken: locks are for snapshots, and whoever holds one when the time is over keeps it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lastcall import Guest, GuestResult, NoShell, Outcome, PluginOptions, Problem, Run, hookimpl
from lastcall.options import Elsewhere, Options

if TYPE_CHECKING:
    from lastcall_plugins.databases.kinds import OneOf

_RUNS = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.MOVED, Outcome.UNREADY})
# The kinds load where a guest has one: a host without databases does not pay for eight of them when it stops.
_Each = Annotated[Any, Elsewhere("lastcall_plugins.databases.kinds", "Database")]


class Databases(Options):
    """The guest key `databases`: `auto`, the name of a kind, one kind with its options, or a list of databases."""

    each: "tuple[_Each, ...]" = Field(default=(), strict=False, description="The databases, in this order.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str | Mapping):
            return {"each": [value]}  # pyright: ignore[reportUnknownVariableType]
        return {"each": value} if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]

    @model_serializer
    def _as_list(self) -> list[Any]:
        return [one.model_dump() for one in self.each]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short forms only: nobody has to know what the list is called."""
        full = handler.resolve_ref_schema(handler(core_schema))
        each = full["properties"]["each"]
        return {"anyOf": [each["items"], each]}


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare the guest key."""
    return PluginOptions(guest=Databases, only_where_set=True)


@hookimpl
def check_guest(guest: Guest, run: Run) -> Iterable[Problem]:
    """Say where the way into the guest is missing."""
    try:
        run.shell(guest)
    except NoShell as error:
        yield Problem(what="databases", where=guest.name, message=str(error), remedy=error.remedy)


@hookimpl
def on_guest_stop(guest: Guest, run: Run) -> None:
    """Flush all of them, stop those that are to be stopped, and only then say what failed."""
    wanted = _wanted(guest, run)
    if wanted:
        from lastcall_plugins.databases.flushing import flush_all

        flush_all(wanted, guest, run)


@hookimpl
def on_guest_started(guest: Guest, result: GuestResult, run: Run) -> None:
    """Put right what a killed run may have left."""
    wanted = _wanted(guest, run) if result.outcome in _RUNS else ()
    if wanted:
        from lastcall_plugins.databases.flushing import repair_all

        repair_all(wanted, guest, run)


def _wanted(guest: Guest, run: Run) -> "tuple[OneOf, ...]":
    return run.options(Databases, guest).each

"""Databases in guests: flushed before the guest stops, with proof. A flush without proof is a failure.

What a client's exit code says is not believed; the server's own figures are, before and after. They stand in the
report. No lock is taken: locks are for snapshots, and whoever holds one when the time is over keeps it.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, GetJsonSchemaHandler, create_model, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lastcall import (
    Guest,
    GuestResult,
    HookFailed,
    Json,
    LastcallError,
    NoShell,
    Outcome,
    PluginOptions,
    Problem,
    Run,
    Shell,
    hookimpl,
)
from lastcall.options import Options
from lastcall_plugins.databases.custom import Custom
from lastcall_plugins.databases.detection import detect
from lastcall_plugins.databases.engine import Engine, Flush
from lastcall_plugins.databases.mariadb import Mariadb, Mysql
from lastcall_plugins.databases.postgresql import Postgresql
from lastcall_plugins.databases.redis import Redis, Valkey
from lastcall_plugins.databases.sqlite import Sqlite

AUTO = "auto"
ENGINES: dict[str, Engine[Any]] = {
    engine.name: engine for engine in (Postgresql(), Mariadb(), Mysql(), Redis(), Valkey(), Sqlite(), Custom())
}
_RUNS = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.UNREADY})


class AutoOptions(Options):
    """Options of `auto`: what is found gets these."""

    stop: bool = Field(default=False, description="Stop the services cleanly after the flush.")


class _OneOf(Options):
    """One database: the name of its kind, or the name with options."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            return {value: {}}
        if isinstance(value, Mapping) and len(value) == 1:  # pyright: ignore[reportUnknownArgumentType]
            return {name: {} if options is None else options for name, options in value.items()}  # pyright: ignore[reportUnknownVariableType]
        raise ValueError("a database is the name of its kind, or one name with its options")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form."""
        return {"anyOf": [{"type": "string"}, {**handler(core_schema), "minProperties": 1, "maxProperties": 1}]}

    @model_serializer
    def _only_chosen(self) -> dict[str, Any] | str:
        name, options = self.chosen
        given = options.model_dump(exclude_unset=True)
        return {name: given} if given else name

    @property
    def chosen(self) -> tuple[str, Any]:
        """The kind and its options."""
        name = next(iter(self.model_fields_set))
        return name, getattr(self, name)


_EACH = "The databases, in this order."
_KINDS: dict[str, Any] = {name: (engine.options | None, None) for name, engine in ENGINES.items()}
Database = create_model("Database", __base__=_OneOf, auto=(AutoOptions | None, None), **_KINDS)


class Databases(Options):
    """The guest key `databases`: `auto`, the name of a kind, or a list of databases."""

    each: tuple[_OneOf, ...] = Field(default=(), strict=False, description=_EACH)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if isinstance(value, str):
            return {"each": [value]}
        return {"each": value} if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]

    @model_serializer
    def _as_list(self) -> list[Any]:
        return [one.model_dump() for one in self.each]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short forms only: nobody has to know what the list is called."""
        full = handler.resolve_ref_schema(handler(core_schema))
        return {"anyOf": [{"type": "string"}, full["properties"]["each"]]}


_each_field: Any = (tuple[Database, ...], Field(default=(), strict=False, description=_EACH))
_Known = create_model("Databases", __base__=Databases, each=_each_field)


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare the guest key."""
    return PluginOptions(guest=_Known, only_where_set=True)


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
    wanted = run.options(Databases, guest).each
    if not wanted:
        return
    shell = run.shell(guest)
    failures: list[str] = []
    for label, engine, options in _each(wanted, shell):
        flush = Flush(guest, run, shell, options)
        began = time.monotonic()
        # One that fails does not keep the others from being flushed: the guest goes off in any case.
        failure = _flushed(engine, flush)
        run.evidence(**{label: _evidence(flush, failure, time.monotonic() - began)})
        if failure:
            failures.append(f"{label}: {failure}")
        else:
            run.log(f"{label}: flushed, proven")
    if failures:
        raise HookFailed("; ".join(failures))


@hookimpl
def on_guest_started(guest: Guest, result: GuestResult, run: Run) -> None:
    """Put right what a killed run may have left."""
    wanted = run.options(Databases, guest).each
    if result.outcome in _RUNS:
        for one in wanted:
            kind, options = one.chosen
            if kind != AUTO:
                ENGINES[kind].started(guest, run, options)


def _each(wanted: Iterable[_OneOf], shell: Shell) -> Iterable[tuple[str, Engine[Any], Any]]:
    """Label, engine and options of each; what `auto` finds is called like its kind, and what tells it from others."""
    used: set[str] = set()
    for one in wanted:
        kind, options = one.chosen
        found = [(kind, options)]
        if kind == AUTO:
            found = [(one.kind, ENGINES[one.kind].options(**one.options, stop=options.stop)) for one in detect(shell)]
        for name, chosen in found:
            label = str(getattr(chosen, "name", name))
            if label in used:
                label = f"{label} {getattr(chosen, 'port', None) or getattr(chosen, 'socket', None) or len(used)}"
            used.add(label)
            yield label, ENGINES[name], chosen


def _flushed(engine: Engine[Any], flush: Flush[Any]) -> str:
    """Flush, and stop where that is wanted and somebody means it; returns why it failed."""
    try:
        engine.flush(flush)
        if getattr(flush.options, "stop", False) and not flush.run.rehearsal:
            engine.stop(flush)
    except LastcallError as error:
        return f"{error} → {error.remedy}" if error.remedy else str(error)
    return ""


def _evidence(flush: Flush[Any], failure: str, seconds: float) -> Json:
    told: dict[str, Json] = {"before": flush.before, "after": flush.after, "proven": not failure}
    return {**told, "seconds": round(seconds, 2), **({"failure": failure} if failure else {})}

"""The kinds of databases, and one database as it is written in the configuration."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, GetJsonSchemaHandler, create_model, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lastcall.options import Options
from lastcall_plugins.databases.custom import Custom
from lastcall_plugins.databases.engine import Engine
from lastcall_plugins.databases.mariadb import Mariadb, Mysql
from lastcall_plugins.databases.postgresql import Postgresql
from lastcall_plugins.databases.redis import Redis, Valkey
from lastcall_plugins.databases.sqlite import Sqlite

AUTO = "auto"
ENGINES: dict[str, Engine[Any]] = {
    engine.name: engine for engine in (Postgresql(), Mariadb(), Mysql(), Redis(), Valkey(), Sqlite(), Custom())
}


class AutoOptions(Options):
    """Options of `auto`: what is found gets these."""

    stop: bool = Field(default=False, description="Stop the services cleanly after the flush.")


class OneOf(Options):
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


_KINDS: dict[str, Any] = {name: (engine.options | None, None) for name, engine in ENGINES.items()}
Database = create_model("Database", __base__=OneOf, auto=(AutoOptions | None, None), **_KINDS)

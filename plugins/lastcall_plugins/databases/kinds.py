"""The kinds of databases, and one database as it is written in the configuration."""

from typing import Any

from pydantic import Field, create_model

from lastcall.options import NamedChoice, Options
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


class OneOf(NamedChoice):
    """One database: the name of its kind, or the name with options."""

    expects = "a database is the name of its kind, or one name with its options"


_KINDS: dict[str, Any] = {name: (engine.options | None, None) for name, engine in ENGINES.items()}
Database = create_model("Database", __base__=OneOf, auto=(AutoOptions | None, None), **_KINDS)

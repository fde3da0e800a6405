"""The pydantic bases with which a plugin declares its own options. Imported on demand: pydantic is not free."""

import importlib
import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from lastcall.errors import LastcallError
from lastcall.formats.bounded_text import kind_name
from lastcall.formats.quantities import parse_duration
from lastcall.formats.reading import Unreadable, read_text
from lastcall.formats.secret_text import SecretText

# pydantic looks for plugins of its own among all installed packages as soon as it makes a model. That is a tenth of a
# start, and whatever somebody has installed would run in the middle of a host stop. Its switch for that
# (PYDANTIC_DISABLE_PLUGINS) spares no import; should this module of pydantic ever have another name, it looks again.
sys.modules.setdefault("pydantic.plugin._loader", cast("Any", SimpleNamespace(get_plugins=tuple)))

BY_METADATA: JsonDict = {"by_metadata": True}
"""`Field(json_schema_extra=BY_METADATA)` lets a guest's own metadata set this field. Never mark a command."""

COMMAND: JsonDict = {"command": True}
"""`Field(json_schema_extra=COMMAND)` says that this is run: `check` warns where guests get it by their names."""

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    # By hand: the type alone would tell an editor `number`, and it would mark 90s as an error.
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


_LONGEST_SECRET = 1 << 16  # bytes; keys have some thousand
_EXPECTED = "should be an absolute path, or the name of a systemd credential"
_CREDENTIAL = re.compile(r"[A-Za-z0-9_.@:-]{1,255}")  # as systemd names them: what a file can be called


class Secret:
    """Where a secret is kept, never the secret: an absolute path, or the name of a systemd credential."""

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        given = core_schema.no_info_before_validator_function(cls._text, core_schema.str_schema())
        text = core_schema.no_info_after_validator_function(cls._checked, given)
        shown = core_schema.plain_serializer_function_ser_schema(lambda secret: secret.reference)
        return core_schema.json_or_python_schema(text, text, serialization=shown)

    # What was given is never quoted: where somebody wrote the secret itself, the error would show it.
    @classmethod
    def _text(cls, given: object) -> object:
        if not isinstance(given, str):
            raise ValueError(_EXPECTED)  # noqa: TRY004  pydantic collects ValueErrors
        return given

    @classmethod
    def _checked(cls, text: str) -> "Secret":
        if not (text.startswith("/") and "\0" not in text) and not _CREDENTIAL.fullmatch(text):
            raise ValueError(_EXPECTED)
        return cls(text)

    @property
    def path(self) -> Path:
        """The file. Raises LastcallError for a credential that this process was not given."""
        if self.reference.startswith("/"):
            return Path(self.reference)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            remedy = f"LoadCredential={self.reference}:/path in the unit, or an absolute path"
            raise LastcallError(f"there is no systemd credential {self.reference!r} here", remedy)
        return Path(folder) / self.reference

    def read(self) -> SecretText:
        """The secret, without the line end: from now on no message has it. Handed on as it is, as to `Shell.run`, or by
        its `reveal()`. Raises LastcallError where it cannot be read, or anybody could read it.
        """
        path = self.path
        try:
            # Editors put a line end behind a password. Blanks stay, as they may be part of it.
            secret = read_text(path, _LONGEST_SECRET).rstrip("\r\n")
            mode = stat.S_IMODE(path.stat().st_mode)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            remedy = error.remedy if isinstance(error, Unreadable) else ""
            raise LastcallError(f"{path} cannot be read: {(why or str(error)).lower()}", remedy) from None
        # Credentials are in a folder that systemd keeps closed; of other files everybody may have read them by now.
        if mode & 0o077 and self.reference.startswith("/"):
            raise LastcallError(f"others may read {path}", f"chmod 600 {path}")
        return SecretText(secret)


class Elsewhere:
    """`Annotated[Any, Elsewhere("package.module", "Model")]`: a model that is imported when a value for it is given.

    For models that come with much else: a start that never meets them does not pay for them.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def model(self) -> type[BaseModel]:
        """The model. Raises what its import raises."""
        return getattr(importlib.import_module(self.module), self.name)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._judge)

    def _judge(self, given: object) -> BaseModel | None:
        if isinstance(given, self.model()):
            return given
        return self.model().model_validate_json(json.dumps(given, default=_as_given))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        self.model().model_rebuild()
        return handler(self.model().__pydantic_core_schema__)


class AsJson:
    """`Annotated[Model, AsJson()]`: what is given is judged as the JSON that it could have been written in.

    YAML knows texts, numbers, lists and mappings. Strict, Python's mode takes none of these for a path, an enum, a
    tuple, a set, a date or an address; that of JSON takes them as they are written, and still no text for a number.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def judge(given: object, inner: core_schema.ValidatorFunctionWrapHandler) -> object:
            # A model that is made already, such as a default.
            return given if isinstance(given, BaseModel) else inner(json.dumps(given, default=_as_given))

        return core_schema.no_info_wrap_validator_function(judge, core_schema.json_schema(handler(source)))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(cast("Any", schema)["schema"]["schema"])


def _as_given(value: object) -> object:
    raise ValueError(f"should be plain, as YAML is, not {kind_name(value)}")


class Options(BaseModel):
    """Base for the options of a plugin (`plugins.<name>`) or of a guest (`<name>:` in a rule).

    What is written in YAML is judged strictly, as JSON: a field may be a Path, an enum, a tuple, a set, a date, an IP
    address, a UUID or a Decimal, and takes its text or list; `"3"` is no number, and 1 is not true.
    """

    # Inputs are hidden in errors: a password that somebody wrote in the wrong place would stand in a traceback.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True
    )  # fmt: skip


class NamedChoice(Options):
    """Base for one of several things with options of their own: written as its name, or as one name with its options.

    A subclass has a field for each of them, `Model | None` with None as default, and says in `expects` what it is.
    """

    expects: ClassVar[str] = "one name, or one name with its options"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        if isinstance(given, str):
            # Made a mapping before anything is validated: a union of both forms
            # gave two or three errors for one mistake.
            return {given: {}}
        if isinstance(given, Mapping) and len(cast("Mapping[str, object]", given)) == 1:
            items = cast("Mapping[str, object]", given).items()
            return {name: dict[str, object]() if options is None else options for name, options in items}
        raise ValueError(cls.expects)

    @cached_property
    def chosen(self) -> tuple[str, Any]:
        """The name and its validated options (what is written there, where the name is not known)."""
        given = self.model_extra or {name: getattr(self, name) for name in self.model_fields_set}
        return next(iter(given.items()))

    @model_serializer
    def _only_chosen(self) -> dict[str, Any] | str:
        name, options = self.chosen
        given = options.model_dump(exclude_unset=True) if isinstance(options, BaseModel) else options
        return {name: given} if given else name

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form: the name alone."""
        return {"anyOf": [{"type": "string"}, {**handler(core_schema), "minProperties": 1, "maxProperties": 1}]}


class StepOptions(Options):
    """Base for the options of a stop method, written behind its name in a ladder."""

    timeout: Duration | None = Field(
        default=None,
        gt=0,
        description="How long the guest may take from the request on, before the next rung is tried.",
        json_schema_extra=BY_METADATA,
    )


class RepeatableOptions(StepOptions):
    """Base for the options of a stop method that may be asked again: that it is safe is said by deriving from this."""

    resend: Duration = Field(
        default=10.0,
        description="Ask again after this time, for guests that overhear the first request; 0 = never.",
        json_schema_extra=BY_METADATA,
    )

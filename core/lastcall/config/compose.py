"""The core's models plus what the plugins declare: one model, so that one validation finds every error."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, Field, GetJsonSchemaHandler, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from lastcall.api.run import PluginOptions
from lastcall.api.stopping import StopMethod
from lastcall.config.guest_settings import (
    LADDER,
    LAST_RESORT,
    RULES,
    GuestPolicy,
    GuestRule,
    LadderStep,
    Section,
    last_resort_steps,
)
from lastcall.config.settings import Settings
from lastcall.formats.values import value
from lastcall.options import BY_METADATA, Elsewhere, Options

# The agent first, as it tells within seconds whether it hears; ACPI still works where the agent hangs.
DEFAULT_LADDER = ("agent", "acpi")
DEFAULT_LAST_RESORT = ("destroy",)


@value
class Vocabulary:
    """What plugins add to the configuration. `unread` are names of plugins that could not be loaded."""

    options: Mapping[str, PluginOptions] = field(default_factory=dict[str, PluginOptions])
    methods: Mapping[str, StopMethod[Any]] = field(default_factory=dict[str, StopMethod[Any]])
    unread: frozenset[str] = frozenset()


def settings_model(words: Vocabulary, *, rules: bool = True) -> type[Settings]:
    """Build the model of the whole configuration for these plugins; without `rules` for one that has none.

    Guests' keys make up most of the model, and each rule has them all again: a host without rules starts without.
    """
    step = _step_model(words.methods.values())
    stop = (tuple[step, ...], _ladder_field(DEFAULT_LADDER, LADDER, step, words))
    last_resort: Any = (
        Annotated[tuple[step, ...], BeforeValidator(last_resort_steps)],
        _ladder_field(DEFAULT_LAST_RESORT, LAST_RESORT, step, words),
    )
    keys = {name: options.guest for name, options in words.options.items() if options.guest}
    guest_keys: dict[str, Any] = {name: (_optional(model), None) for name, model in keys.items()}
    defaults = create_model("Defaults", __base__=GuestPolicy, stop=stop, last_resort=last_resort, **guest_keys)
    sections: dict[str, Any] = {
        name: (_optional(options.settings), None) for name, options in words.options.items() if options.settings
    }
    plugins = create_model("Plugins", __base__=Section, **sections)
    listed: Any = (tuple[()], ())
    if rules:
        rule = create_model("Rule", __base__=GuestRule, stop=stop, last_resort=last_resort, **guest_keys)
        # Strict, a list is no tuple, and YAML has nothing but lists.
        listed = (tuple[rule, ...], Field(default=(), strict=False, description=RULES))
    return create_model(
        "Configuration",
        __base__=Settings,
        plugins=(plugins, plugins.model_construct()),
        defaults=(defaults, defaults.model_construct()),
        guests=listed,
    )


def settings_schema(words: Vocabulary) -> JsonSchemaValue:
    """The JSON Schema of the whole configuration for these plugins."""
    return settings_model(words).model_json_schema(schema_generator=_Schema)


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write a default down."""
        # Our models are deferred, and before 2.14 pydantic builds none of them for the sake of a default.
        for one in cast("tuple[object, ...]", dft) if isinstance(dft, tuple) else (dft,):
            if isinstance(one, BaseModel):
                type(one).model_rebuild()
        return super().encode_default(dft)


class _Declared(Elsewhere):
    """A model that is there already, or nothing: of the many that are declared, a host sets few, and the validators of
    the others need not be built.
    """

    def __init__(self, model: type[Options]) -> None:
        super().__init__(model.__module__, model.__qualname__)
        self._model = model

    def model(self) -> type[Options]:
        """The model."""
        return self._model

    def _judge(self, given: object) -> BaseModel | None:
        return None if given is None else super()._judge(given)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        self._model.model_rebuild()
        return handler(core_schema.nullable_schema(self._model.__pydantic_core_schema__))


def _optional(model: type[Options]) -> Any:
    """What a plugin declares, or nothing. The core's own models know what YAML is; a plugin's are judged as JSON."""
    return Annotated[model | None, _Declared(model)]


def _step_model(methods: Iterable[StopMethod[Any]]) -> Any:
    fields: dict[str, Any] = {method.name: (_optional(method.options), None) for method in methods}
    return create_model("Step", __base__=LadderStep, **fields)


def _ladder_field(default: tuple[str, ...], description: str, step: Any, words: Vocabulary) -> Any:
    # Where a bundled plugin is blocked its rung is not among the defaults: a complaint about it would name a word that
    # nobody has written.
    steps = tuple(step.model_validate(name) for name in default if name in words.methods)
    return Field(default=steps, strict=False, description=description, json_schema_extra=BY_METADATA)

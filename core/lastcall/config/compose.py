"""The core's models plus what the plugins declare: one model, so that one validation finds every error."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, create_model

from lastcall.api.run import PluginOptions
from lastcall.api.stopping import StopMethod
from lastcall.config.models import LADDER, RULES, GuestPolicy, GuestRule, LadderStep, Section, Settings

DEFAULT_LADDER = ("acpi",)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What plugins add to the configuration. `unread` are names of plugins that could not be loaded."""

    options: Mapping[str, PluginOptions] = field(default_factory=dict[str, PluginOptions])
    methods: Mapping[str, StopMethod[Any]] = field(default_factory=dict[str, StopMethod[Any]])
    unread: frozenset[str] = frozenset()


def settings_model(words: Vocabulary) -> type[Settings]:
    """Build the model of the whole configuration for these plugins."""
    step = _step_model(words.methods.values())
    ladder = (tuple[step, ...], Field(default=_default_ladder(step, words), strict=False, description=LADDER))
    keys = {name: options.guest for name, options in words.options.items() if options.guest}
    guest_keys: dict[str, Any] = {name: (model | None, None) for name, model in keys.items()}
    defaults = create_model("Defaults", __base__=GuestPolicy, stop=ladder, **guest_keys)
    rule = create_model("Rule", __base__=GuestRule, stop=ladder, **guest_keys)
    sections: dict[str, Any] = {
        name: (options.settings | None, None) for name, options in words.options.items() if options.settings
    }
    plugins = create_model("Plugins", __base__=Section, **sections)
    rules: Any = tuple[rule, ...]  # pyright: ignore[reportInvalidTypeForm]  a model made at run time
    return create_model(
        "Configuration",
        __base__=Settings,
        plugins=(plugins, plugins()),
        defaults=(defaults, defaults()),
        guests=(rules, Field(default=(), strict=False, description=RULES)),
    )


def _step_model(methods: Iterable[StopMethod[Any]]) -> Any:
    fields: dict[str, Any] = {method.name: (method.options | None, None) for method in methods}
    return create_model("Step", __base__=LadderStep, **fields)


def _default_ladder(step: Any, words: Vocabulary) -> tuple[LadderStep, ...]:
    return tuple(step.model_validate(name) for name in DEFAULT_LADDER if name in words.methods)

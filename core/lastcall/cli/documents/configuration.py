"""What `config` and `guest` print with `--json`: what is configured, and where it comes from."""

from collections.abc import Mapping
from typing import Any, TypedDict

from lastcall.errors import Problem
from lastcall.formats.values import value


@value(kw_only=True)
class ConfigurationDocument:
    """The configuration in force, defaults included: its sections, with durations in seconds and sizes in bytes."""

    version: int = 1
    connections: tuple[Mapping[str, Any], ...]
    shutdown: Mapping[str, Any]
    restore: Mapping[str, Any]
    hooks: Mapping[str, Any]
    runs: Mapping[str, Any]
    paths: Mapping[str, Any]
    units: Mapping[str, Any]
    migrate: Mapping[str, Any]
    fleet_lock: Mapping[str, Any] | None
    plugins: Mapping[str, Any]
    defaults: Mapping[str, Any]
    guests: tuple[Mapping[str, Any], ...]


# `from` cannot be the name of a field in a class.
SettingFacts = TypedDict("SettingFacts", {"value": Any, "from": str})


@value(kw_only=True)
class GuestSettingsDocument:
    """The settings of a guest by their keys, and where each comes from."""

    version: int = 1
    guest: str
    settings: Mapping[str, SettingFacts]
    problems: tuple[Problem, ...]


@value(kw_only=True)
class ConfigCheckDocument:
    """Whether the configuration is valid, the files that it was read from, and what is wrong."""

    version: int = 1
    valid: bool
    files: tuple[str, ...]
    problems: tuple[Problem, ...]


@value(kw_only=True)
class ImportDocument:
    """Settings of libvirt-guests as our `configuration`. `unread`: what of them could not be read, in words."""

    version: int = 1
    file: str
    configuration: Mapping[str, Any]
    notes: tuple[str, ...]
    unread: tuple[str, ...]


@value(kw_only=True)
class MetadataDocument:
    """The settings that a guest carries in its own metadata, as they are written there."""

    version: int = 1
    guest: str
    settings: Mapping[str, str]

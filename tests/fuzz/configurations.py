"""Readers of what administrators write, and of what guests carry in their metadata."""

import math
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, cast
from unittest import mock

from fuzz.folders import fresh_folder
from lastcall import Guest, Reason, RunKind
from lastcall.api.reasons import REASON_WORDS
from lastcall.config import files
from lastcall.config.compose import settings_model
from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.load import Document, parse
from lastcall.config.metadata import read_metadata
from lastcall.config.policies import Policies
from lastcall.config.settings import Bootstrap, Settings
from lastcall.config.validation import validate
from lastcall.errors import Problem
from lastcall.formats.json_text import to_json
from lastcall.formats.quantities import format_duration, parse_duration, parse_size
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.occasions.header import LONGEST_START, read_header
from lastcall.hooks.occasions.occasions import Occasions
from lastcall.imports.libvirt_guests import as_yaml, distribution_defaults, read_settings
from lastcall.persistence.last_good import LastGood
from lastcall.runs.loading import Loaded, load

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db")
_PLACE = re.compile(r"config\.yaml:\d+:\d+: ")


def text_of(data: bytes) -> str:
    """As what guests and programs say is read: bytes that are no UTF-8 cost nothing but themselves."""
    return data.decode("utf-8", "surrogateescape")


@cache
def model() -> type[Settings]:
    """The model of the configuration with our own plugins."""
    return settings_model(Plugins(Bootstrap()).vocabulary)


def guest_model() -> type[GuestPolicy]:
    """That of what one guest gets."""
    return cast("type[GuestPolicy]", type(_defaults()))


@cache
def _defaults() -> Any:
    return model()().defaults


def read_configuration(data: bytes) -> tuple[Document, Settings | None, list[str]]:
    document = parse(text_of(data), "config.yaml")
    found, problems = validate(model(), document.node)
    told = [f"{problem.where}: {problem.message}" for _, problem in (*document.problems, *problems)]
    return document, cast("Settings | None", found), told


def is_valid_or_wrong_somewhere(found: tuple[Document, Settings | None, list[str]]) -> None:
    document, settings, told = found
    assert settings is not None or told
    assert all(map(_PLACE.match, told)), told
    assert len("\n".join(told)) < 1_000_000
    for reason in (Reason.MANUAL, Reason.POWER):
        assert document.deadline(RunKind.SHUTDOWN, reason) >= 0
    if settings and not told:
        to_json(Policies(settings.for_reason(Reason.POWER)).of(GUEST).model_dump())


def read_named_file(data: bytes) -> Loaded:
    path = fresh_folder() / "config.yaml"
    path.write_bytes(data)
    return load(path, Reason.MANUAL)


def read_in_a_host_stop(data: bytes) -> Loaded:
    """The default file, with its own half as the last good one."""
    path = fresh_folder() / "config.yaml"
    path.write_bytes(data)
    kept = LastGood(path.with_name("last-good.json"))
    kept.remember({path: text_of(data[: len(data) // 2])})
    with mock.patch.object(files, "DEFAULT_FILE", path), mock.patch.dict("os.environ"):
        os.environ.pop(files.VARIABLE, None)
        return load(None, Reason.POWEROFF, kept)


def is_loaded(found: Loaded) -> None:
    assert (found.origin == "file") == (not found.problems) or found.origin == "defaults"
    assert found.settings.shutdown.parallel >= 0


def read_last_good(data: bytes) -> Document:
    path = fresh_folder() / "last-good.json"
    path.write_bytes(data)
    return LastGood(path).recall()


def is_a_document(found: Document) -> None:
    assert found.deadline(RunKind.SHUTDOWN, Reason.POWER) >= 0


def read_guest_metadata(data: bytes) -> tuple[GuestPolicy | None, list[Problem]]:
    key, _, text = text_of(data).partition("\n")
    return read_metadata(guest_model(), GUEST, {key: text, "timeout": "5min"})


def costs_nothing_but_its_key(found: tuple[GuestPolicy | None, list[Problem]]) -> None:
    policy, problems = found
    assert policy is not None
    assert policy.timeout is not None or problems
    assert all(problem.where == GUEST.name for problem in problems)
    to_json(policy.model_dump())


def read_libvirt_guests(data: bytes) -> tuple[Document, list[str]]:
    """Its settings, and our configuration that is made of them."""
    found = read_settings(data.decode("utf-8", "replace"))
    document = parse(as_yaml(found, "libvirt-guests"), "config.yaml")
    _, problems = validate(model(), document.node)
    return document, [problem.message for _, problem in (*document.problems, *problems)]


def is_what_we_understand(found: tuple[Document, list[str]]) -> None:
    document, wrong = found
    assert not wrong, wrong[:3]
    assert set(document.node.items) == {"connections", "shutdown", "restore", "defaults"}


def read_libvirt_guests_script(data: bytes) -> dict[str, str]:
    root = fresh_folder()
    script = root / "usr/lib/libvirt/libvirt-guests.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_bytes(data)
    return distribution_defaults(root)


def has_every_setting(found: dict[str, str]) -> None:
    assert read_settings("", found).values == found


def read_dropin(data: bytes) -> tuple[Occasions, list[Problem]]:
    return read_header(data[:LONGEST_START], Path("/etc/lastcall/hooks.d/pre_shutdown/50-x"), "pre_shutdown")


def is_never_kept_from_a_host_stop_by_a_mistake(found: tuple[Occasions, list[Problem]]) -> None:
    occasions, problems = found
    assert set(occasions.words) <= set(REASON_WORDS)
    for problem in problems:
        assert re.fullmatch(r"/etc/lastcall/hooks\.d/pre_shutdown/50-x:\d+", problem.where)
        assert len(problem.message) < 1000
        if "counts as" in problem.message:
            assert occasions.words
    if problems and not occasions.words:
        assert not any("reason" in problem.message for problem in problems)


def read_duration(data: bytes) -> float:
    return cast("float", parse_duration(text_of(data).removesuffix("\n")))


def is_a_time(found: float) -> None:
    assert type(found) is float
    assert 0 <= found < math.inf
    format_duration(found)


def read_size(data: bytes) -> int:
    return cast("int", parse_size(text_of(data).removesuffix("\n")))


def is_a_size(found: int) -> None:
    assert type(found) is int
    assert found >= 0

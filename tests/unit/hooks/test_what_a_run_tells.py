"""What a hook's view of the run tells: whose call it is, guests by name, options, and what counts for a guest."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

import lastcall
from lastcall import (
    AmbiguousGuest,
    Guest,
    GuestSettings,
    HookRecord,
    LastcallError,
    PluginOptions,
    Reason,
    Run,
    UnknownGuest,
    Verdict,
)
from lastcall.config.guest_settings import GuestPolicy
from lastcall.options import Options
from lastcall.testing.memory import FakeGuest, run_shutdown


class Settings(Options):
    url: str = "https://example.org"


class PerGuest(Options):
    address: str
    port: int = Field(default=623)


class Probe:
    """A plugin that looks at its run, when all is about to begin."""

    def __init__(self, look: Callable[[Run], Any], options: PluginOptions | None = None) -> None:
        self._look, self._options = look, options

    @lastcall.hookimpl
    def plugin_options(self) -> PluginOptions | None:
        return self._options

    @lastcall.hookimpl
    def pre_shutdown(self, run: Run) -> None:
        run.evidence(seen=self._look(run))


BOTH = PluginOptions(settings=Settings, guest=PerGuest)
UUID = FakeGuest("db-1").uuid


def guests() -> list[FakeGuest]:
    return [FakeGuest("db-1"), FakeGuest("web-1"), FakeGuest("twin"), FakeGuest("twin", uri="fake:///other")]


def probed(
    folder: Path, look: Callable[[Run], Any], options: PluginOptions | None = None, *, config: str = "",
    reason: Reason = Reason.MANUAL,
) -> HookRecord:  # fmt: skip
    plugins = {"probe": Probe(look, options)}
    return run_shutdown(folder, guests()[:2], plugins=plugins, config=config, reason=reason).hooks[0]


def seen(
    folder: Path, look: Callable[[Run], Any], options: PluginOptions | None = None, *, config: str = "",
    reason: Reason = Reason.MANUAL,
) -> Any:  # fmt: skip
    record = probed(folder, look, options, config=config, reason=reason)
    assert record.result is Verdict.OK, record
    return record.evidence["seen"]


@pytest.mark.parametrize(("reason", "voluntary"), [(Reason.MANUAL, True), (Reason.POWEROFF, False)])
def test_it_tells_whose_call_it_is_and_whether_anything_forces_the_run(
    tmp_path: Path, reason: Reason, voluntary: bool
) -> None:
    assert seen(tmp_path, lambda run: [run.plugin, run.voluntary], reason=reason) == ["probe", voluntary]


def test_it_tells_the_time_of_the_call_and_that_of_the_run_apart(tmp_path: Path) -> None:
    config = "shutdown: {deadline: 300s}\nhooks: {timeout: 20s}"
    assert seen(tmp_path, lambda run: [run.remaining(), run.run_remaining()], config=config) == [20.0, 300.0]
    config = "shutdown: {deadline: none}\nhooks: {timeout: 20s}"
    assert seen(tmp_path, lambda run: [run.remaining(), run.run_remaining()], config=config) == [20.0, None]


def test_a_guest_is_found_by_its_name_or_uuid(tmp_path: Path) -> None:
    def look(run: Run) -> Any:
        assert run.guest("web-1", uri="fake:///system") == run.guest("web-1")
        return [run.guest("web-1").name, run.guest(UUID.upper()).name]

    assert seen(tmp_path, look) == ["web-1", "db-1"]


@pytest.mark.parametrize(
    ("name", "uri", "error", "words"),
    [
        ("db-2", None, UnknownGuest, r"^no guest is called 'db-2'; did you mean 'db-1'\?$"),
        ("router", None, UnknownGuest, "^no guest is called 'router'$"),
        ("db-1", "fake:///other", UnknownGuest, "^no guest on fake:///other is called 'db-1'$"),
        ("twin", None, AmbiguousGuest, "^several guests are called 'twin': on fake:///other and fake:///system$"),
    ],
)
def test_one_that_is_not_there_and_one_that_is_there_twice_are_errors_of_their_own(
    tmp_path: Path, name: str, uri: str | None, error: type[LastcallError], words: str
) -> None:
    def look(run: Run) -> Any:
        with pytest.raises(error, match=words):
            run.guest(name, uri=uri)
        return run.guest("twin", uri="fake:///other").uri

    report = run_shutdown(tmp_path, guests(), plugins={"probe": Probe(look)})
    assert report.hooks[0].evidence == {"seen": "fake:///other"}


def test_uncaught_it_is_a_failure_in_one_line(tmp_path: Path) -> None:
    record = probed(tmp_path, lambda run: run.guest("db-2"))
    assert (record.result, record.message) == (Verdict.FAILED, "no guest is called 'db-2'; did you mean 'db-1'?")


SET = "plugins: {probe: {url: 'https://x'}}\nguests: [{match: db-1, probe: {address: a}}, {match: web-1, probe: null}]"


def test_options_that_are_not_set_can_be_told_from_those_that_are(tmp_path: Path) -> None:
    def look(run: Run) -> Any:
        db, web = run.guest("db-1"), run.guest("web-1")
        return [
            [run.has_options(), run.has_options(db), run.has_options(web)],
            [run.options(Settings).url, run.options(Settings, default=None) is None],
            [run.options(PerGuest, one, default=None) for one in (db, web)],
        ]

    found = seen(tmp_path / "set", look, BOTH, config=SET)
    assert found[:2] == [[True, True, False], ["https://x", False]]
    assert "address='a'" in found[2][0]
    assert found[2][1] is None
    unset = seen(tmp_path / "unset", look, BOTH)
    assert unset == [[False, False, False], ["https://example.org", True], [None, None]]


def test_options_that_need_what_is_not_set_say_so(tmp_path: Path) -> None:
    record = probed(tmp_path, lambda run: run.options(PerGuest, run.guest("db-1")), BOTH)
    assert (record.result, record.message) == (Verdict.FAILED, "probe of db-1 is not set, and needs address")


WRONG: list[tuple[Callable[[Run], Any], PluginOptions | None, str]] = [
    (lambda run: run.options(PerGuest), BOTH, "PerGuest for itself"),
    (lambda run: run.options(Settings, run.guests[0]), BOTH, "Settings for guests"),
    (lambda run: run.options(Settings), None, "Settings for itself"),
    (lambda run: run.options(Settings, default=None), None, "Settings for itself"),
]


@pytest.mark.parametrize(("look", "options", "whose"), WRONG)
def test_options_that_were_not_declared_so_are_an_error_and_no_defaults(
    tmp_path: Path, look: Callable[[Run], Any], options: PluginOptions | None, whose: str
) -> None:
    record = probed(tmp_path, look, options)
    assert record.result is Verdict.FAILED
    assert record.message.startswith(f"probe declares no options of type {whose} → ")


def test_a_plugin_that_declares_none_has_none_even_where_a_key_of_the_core_is_called_like_it(tmp_path: Path) -> None:
    def look(run: Run) -> Any:
        return [run.has_options(), run.has_options(run.guests[0])]

    report = run_shutdown(tmp_path, guests()[:1], plugins={"order": Probe(look)}, config="defaults: {order: 3}")
    assert report.hooks[0].evidence == {"seen": [False, False]}


def test_what_counts_for_a_guest_has_a_field_for_each_key_of_the_core() -> None:
    assert {one.name for one in fields(GuestSettings)} == GuestPolicy.model_fields.keys()


def test_what_counts_for_a_guest_is_what_its_rules_come_to(tmp_path: Path) -> None:
    config = (
        "defaults: {timeout: 70s, order: 1}\n"
        "restore: {ready_timeout: 33s}\n"
        "guests:\n"
        "  - {match: db-*, stop: [acpi, {destroy: {graceful: false}}], last_resort: leave, hooks: {timeout: 9s}}\n"
        "  - {match: db-1, order: 5, depends_on: [web-*, {uri: 'x*', state: off}], shell: ssh, restore: always,\n"
        "     shed: {after: 5min, below: 60%}}\n"
        "  - {match: web-1, ready_timeout: 4s}\n"
    )
    found: list[GuestSettings] = []

    def look(run: Run) -> Any:
        found.extend(run.settings(guest) for guest in (run.guest("db-1"), run.guest("web-1")))
        with pytest.raises(AttributeError):
            found[0].order = 7  # type: ignore[misc]  # pyright: ignore

    seen(tmp_path, look, config=config)
    db, web = found
    assert db == GuestSettings(
        manage=True, depends_on=({"name": "web-*"}, {"uri": "x*", "state": "off"}), order=5, stop=("acpi", "destroy"),
        timeout=70.0, last_resort=(), paused="save", jobs="wait", transient="stop", restore="always", drill=False,
        shed=lastcall.GuestShedding(after=300.0, below=60.0), sleep="leave", start_delay=0.0, ready_timeout=33.0,
        shell=("ssh",), hooks=lastcall.GuestHooks(timeout=9.0),
    )  # fmt: skip
    assert (web.order, web.stop, web.last_resort, web.ready_timeout) == (1, ("agent", "acpi"), ("destroy",), 4.0)
    assert (web.hooks, web.shed) == (lastcall.GuestHooks(), lastcall.GuestShedding())


def test_after_its_end_a_call_tells_none_of_it(tmp_path: Path) -> None:
    kept: list[Run] = []
    guest = Guest(uri="fake:///system", uuid="u", name="g")
    seen(tmp_path, kept.append, BOTH)
    looks: tuple[Callable[[Run], Any], ...] = (
        lambda run: run.plugin, lambda run: run.voluntary, lambda run: run.guest("db-1"), lambda run: run.has_options(),
        lambda run: run.options(Settings, default=None), lambda run: run.settings(guest),
        lambda run: run.run_remaining(),
    )  # fmt: skip
    for look in looks:
        with pytest.raises(lastcall.CallExpired):
            look(kept[0])

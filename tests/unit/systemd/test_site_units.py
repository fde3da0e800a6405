"""`units.after`: which names it takes, what is written for systemd, and what `check` says of it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from fake_systemctl import FakeSystemctl
from lastcall import Problem
from lastcall.config.sections.units import UnitSettings
from lastcall.config.settings import Settings
from lastcall.systemd.site_units.after import after_drop_ins, check_after
from lastcall.systemd.unit_checks import check_units
from lastcall.systemd.units import AROUND, RESTORE, SERVICE

OURS = {"LoadState": "loaded", "After": "sysinit.target", "Before": "shutdown.target multi-user.target"}
HERE = {"LoadState": "loaded"}


def found(names: list[str], **units: dict[str, str]) -> list[Problem]:
    known = {name.replace("_", "."): unit for name, unit in units.items()}
    return list(check_after(FakeSystemctl({SERVICE: OURS, **known}), names))


@pytest.mark.parametrize(
    "name",
    ["etcd.service", "a@b.service", "srv-vm.mount", "dev-disk-by\\x2duuid-1.device", "x:y_z-1.target", "cron.timer"],
)
def test_a_units_name_is_taken_as_it_is(name: str) -> None:
    assert UnitSettings.model_validate({"after": [name]}).after == (name,)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("etcd", "did you mean 'etcd.service'?"), ("etcd.servce", "did you mean 'etcd.service'?"),
        ("a b.service", "no unit's name"), ("a.service\nExecStop=/bin/false", "no unit's name"), ("", "no unit's name"),
        ("/etc/x.service", "no unit's name"),
        ("%i.service", "no unit's name"), ("*.service", "no unit's name"), ("a@.service", "is a template"),
        (".service", "no unit's name"), ("x" * 500 + ".service", "no unit's name"), ("étcd.service", "no unit's name"),
    ],
)  # fmt: skip
def test_what_is_no_units_name_is_refused_with_one_that_is(name: str, words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        UnitSettings.model_validate({"after": [name]})
    (error,) = raised.value.errors()
    assert words in error["msg"]


def test_who_watches_the_ups_and_what_a_plugin_may_ask_is_stopped_after_the_guests() -> None:
    watches = {"nut-server.service", "nut-driver.target", "nut-monitor.service", "apcupsd.service", "etcd.service"}
    assert watches <= set(AROUND)


def test_our_units_are_ordered_after_those_that_are_named_and_after_none_by_default() -> None:
    written = dict(after_drop_ins(["a.service", "b.mount"]))
    assert {path.parent.name for path in written} == {f"{SERVICE}.d", f"{RESTORE}.d"}
    for text in written.values():
        assert text.splitlines()[1:] == ["[Unit]", "After=a.service", "After=b.mount"]
    assert set(dict(after_drop_ins([])).values()) == {""}


def test_a_unit_that_is_started_after_ours_is_a_circle_however_far_behind_it_comes() -> None:
    chain = {"multi-user_target": {"Before": "graphical.target"}, "graphical_target": {"Before": "late.service"}}
    for name in ("multi-user.target", "late.service", SERVICE, RESTORE):
        (problem,) = found([name], **chain, late_service=HERE)
        assert (problem.severity, problem.where) == ("error", "units.after")
        assert name in problem.message
    # Two that are ordered after each other end the search as well.
    around = {"multi-user_target": {"Before": "a.service"}, "a_service": {**HERE, "Before": "multi-user.target"}}
    assert [one.severity for one in found(["a.service"], **around)] == ["error"]


def test_an_order_that_is_not_installed_yet_and_a_unit_that_is_not_there_are_warned_of() -> None:
    fine = {"After": "etcd.service sysinit.target"}
    assert found(["etcd.service"], lastcall_service={**OURS, **fine}, etcd_service=HERE) == []
    (late,) = found(["etcd.service"], etcd_service=HERE)
    assert (late.severity, late.remedy) == ("warning", "`lastcall install`")
    (missing,) = found(["etdc.service"])
    assert missing.severity == "warning"
    assert "there is no etdc.service" in missing.message
    assert found([]) == []


def test_check_looks_at_it(tmp_path: Path) -> None:
    settings = Settings.model_validate({"units": {"after": ["multi-user.target"]}})
    problems = check_units(FakeSystemctl({SERVICE: OURS, "multi-user.target": HERE}), settings, tmp_path)
    assert [one.severity for one in problems if one.where == "units.after"] == ["error"]

"""Putting lastcall on duty and taking it away, on a folder that stands for the host."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fake_systemctl import ACTIVE, GUESTS_ON_DUTY, FakeSystemctl, runs
from lastcall import Guest
from lastcall.config.sections.units import UnitSettings
from lastcall.config.settings import PathSettings, RestoreSettings, Settings
from lastcall.errors import LastcallError, UsageError
from lastcall.installation import packaged, takeover
from lastcall.installation.choices import NOBODY, Choices
from lastcall.installation.guests_unit import NotHarmless
from lastcall.installation.install import Duel, Installation, boot_time
from lastcall.installation.set_aside import SET_ASIDE
from lastcall.installation.shared_data.completion import completions
from lastcall.installation.steps import InstallStep
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile, open_state
from lastcall.systemd.systemctl import Systemctl
from lastcall.systemd.units import GUESTS_DROP_IN, RESTORE, SERVICE, UNITS

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db 1")


OFF_DUTY = {"ActiveState": "inactive", "UnitFileState": "disabled"}
OTHER = Guest(uri="qemu:///system", uuid="66666666-2222-3333-4444-555555555555", name="web")


def installation(
    root: Path, systemctl: Systemctl, restore: RestoreSettings | None = None, replace: Sequence[str] = ()
) -> Installation:
    def settings(_text: str | None) -> Settings:
        return Settings(restore=restore or RestoreSettings())

    return Installation(
        program=Path("/opt/lastcall/bin/lastcall"), settings=settings, systemctl=systemctl, root=root, replace=replace
    )


def carry_out(steps: Iterable[InstallStep]) -> None:
    for step in steps:
        step.do()


def test_nothing_is_installed_beside_libvirts_own_shutdown(tmp_path: Path) -> None:
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    (tmp_path / "etc/libvirt/qemu.conf").write_text('auto_shutdown_try_save = "persistent"\n')
    with pytest.raises(Duel, match='set auto_shutdown_try_save = "none"'):
        installation(tmp_path, FakeSystemctl()).plan()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc"]


def test_installed_twice_it_changes_nothing_and_uninstalled_it_leaves_the_configuration_and_the_list(
    tmp_path: Path,
) -> None:
    systemctl = FakeSystemctl()
    found: list[dict[Path, str]] = []
    for _ in range(2):
        carry_out(installation(tmp_path, systemctl).plan())
        found.append({path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()})
    files, again = found
    assert files == again
    assert systemctl.told[-2:] == [
        ("enable", "lastcall.service", "lastcall-restore.service", "lastcall-sleep.service"),
        ("start", "lastcall.service", "lastcall-stamp.service"),
    ]
    names = {str(path.relative_to(tmp_path)) for path in files}
    assert {"etc/lastcall/config.yaml", "etc/lastcall/last-line", "etc/systemd/system/lastcall.service"} <= names
    assert {"lastcall", "lastcall-stamp"} == {path.name for path in (tmp_path / "etc/motd.d").iterdir()}
    assert {name for name, _ in completions()} <= names
    carry_out(installation(tmp_path, systemctl).undo())
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert left == {"etc/lastcall/config.yaml"}
    assert not (tmp_path / "etc/systemd/system/lastcall.service.d").exists()


def test_nobody_is_promised_to_come_back_where_the_configuration_says_that_none_does(tmp_path: Path) -> None:
    (tmp_path / takeover.LIST).parent.mkdir(parents=True)
    (tmp_path / takeover.LIST).write_text(f"default {GUEST.uuid}\n")
    for restore, promised in ((RestoreSettings(), True), (RestoreSettings(policy="none"), False)):
        duty = installation(tmp_path, FakeSystemctl({"libvirt-guests.service": GUESTS_ON_DUTY}), restore)
        assert "is on duty: guests are stopped when this host is" in duty.duty()
        assert ("come back with it" in duty.duty(), "none comes back by itself" in duty.duty()) == (
            promised,
            not promised,
        )
        (step,) = [step.text for step in duty.plan() if step.text.startswith("take 1 guest over")]
        assert step.endswith("to the list of those to restore") == promised


class Reloads(FakeSystemctl):
    """Its systemd heeds the drop-in from the next reload on, but for what is read after it."""

    def __init__(self, root: Path, later: dict[str, str]) -> None:
        super().__init__({"libvirt-guests.service": GUESTS_ON_DUTY})
        self.root, self.later = root, later

    def tell(self, *words: str) -> str:
        if words == ("daemon-reload",) and (self.root / GUESTS_DROP_IN).exists():
            files = "/etc/systemd/system/libvirt-guests.service.d"
            self.units["libvirt-guests.service"] = {
                **ACTIVE, "ExecStart": runs("/bin/true"), "DropInPaths": f"/{GUESTS_DROP_IN} {files}/zzz.conf",
                **self.later,
            }  # fmt: skip
        return super().tell(*words)


def test_what_still_stands_of_libvirt_guests_after_the_takeover_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = (tmp_path / GUESTS_DROP_IN).parent
    folder.mkdir(parents=True)
    (folder / "zzz.conf").write_text("[Service]\nExecStopPost=/bin/anything\n")
    systemctl = Reloads(tmp_path, {"ExecStopPost": runs("/bin/anything")})
    first = installation(tmp_path, systemctl).plan()
    with pytest.raises(NotHarmless, match=r"still runs ExecStopPost=/bin/anything \(.*zzz.conf\)") as raised:
        carry_out(first)
    assert "Do not stop it" in raised.value.remedy
    assert ("start", "lastcall.service", "lastcall-stamp.service") in systemctl.told, "lastcall is on duty all the same"
    again = installation(tmp_path, systemctl).plan()
    assert any(f"leave {folder / 'zzz.conf'} as it is; it says ExecStopPost=/bin/anything" in one.text for one in again)
    systemctl.later = {"MainPID": "77"}
    with pytest.raises(NotHarmless, match="has a process, 77"):
        carry_out(again)
    systemctl.later = {}
    carry_out(installation(tmp_path, systemctl).plan())
    (tmp_path / GUESTS_DROP_IN).rename(folder / "zzzz.conf")
    carry_out(installation(tmp_path, systemctl).undo())
    assert [path.name for path in folder.iterdir()] == ["zzz.conf"], "by whatever name, ours is taken away"


def test_somebody_elses_units_are_never_a_reason_to_refuse_and_keep_their_names(tmp_path: Path) -> None:
    stops = {**ACTIVE, "ExecStop": runs("/usr/bin/virsh shutdown db")}
    systemctl = FakeSystemctl({"graceful-shutdown.service": stops, "libvirt-vm@.service": stops, "x.service": stops})
    made = installation(tmp_path, systemctl)
    carry_out(made.plan())
    assert [one.where for one in made.others()] == ["graceful-shutdown.service", "x.service"]
    assert "Alias=" not in (tmp_path / UNITS / "lastcall.service").read_text()


def test_units_are_set_aside_with_their_drop_ins_and_links_and_put_back_as_they_were(tmp_path: Path) -> None:
    units = tmp_path / UNITS
    for name in ("a.service.d", "vm@.service.d", "multi-user.target.wants"):
        (units / name).mkdir(parents=True)
    (units / "a.service").write_text("a")
    (units / "a.service.d/more.conf").write_text("more")
    (units / "vm@.service").write_text("vm")
    for link in ("a.service", "vm@db.service", "b.service"):
        (units / "multi-user.target.wants" / link).symlink_to(units / link)
    busy = {**ACTIVE, "MainPID": "12"}
    systemctl = FakeSystemctl({"a.service": ACTIVE, "vm@db.service": ACTIVE, "vm@web.service": busy})
    for _ in range(2):  # once more there is nothing to do
        carry_out(installation(tmp_path, systemctl, replace=["a", "vm@.service"]).plan())
    assert [link.name for link in (units / "multi-user.target.wants").iterdir()] == ["b.service"]
    assert sorted(path.name for path in (tmp_path / SET_ASIDE).iterdir()) == [
        "a.service", "a.service.d", "vm@.service", "vm@.service.d",
    ]  # fmt: skip
    stopped = [words[1] for words in systemctl.told if words[0] == "stop"]
    assert stopped == ["a.service", "vm@db.service"], "a process is not told to end"
    (units / "a.service").write_text("a newer one")
    carry_out(installation(tmp_path, systemctl).undo())
    assert (units / "a.service").read_text() == "a newer one"
    assert (units / "a.service.d/more.conf").read_text() == "more"
    assert (units / "vm@.service").read_text() == "vm"


@pytest.mark.parametrize("standing", ["ExecStop", "ExecStopPost"])
def test_a_unit_of_which_a_copy_still_stands_is_not_stopped_when_it_is_set_aside(tmp_path: Path, standing: str) -> None:
    (tmp_path / UNITS).mkdir(parents=True)
    (tmp_path / UNITS / "a.service").write_text("a")
    systemctl = FakeSystemctl({"a.service": {**ACTIVE, standing: runs("/usr/bin/virsh shutdown db")}})
    made = installation(tmp_path, systemctl, replace=["a.service"])
    carry_out(made.plan())
    assert not any(words[0] == "stop" for words in systemctl.told)
    assert [one.where for one in made.others()] == ["a.service"], "and who still stops guests is told"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("nobody.service", "look at the name"),
        ("lib.service", "systemctl mask lib.service"),
        ("vm@db.service", "--replace vm@.service"),
        ("lastcall.service", "lastcall uninstall"),
        ("libvirt-guests.service", "takes over from it anyway"),
    ],
)
def test_what_cannot_be_set_aside_is_said_before_anything_is_done(tmp_path: Path, name: str, remedy: str) -> None:
    systemctl = FakeSystemctl({"lib.service": {**ACTIVE, "FragmentPath": "/usr/lib/systemd/system/lib.service"}})
    with pytest.raises(UsageError) as raised:
        installation(tmp_path, systemctl, replace=[name]).plan()
    assert remedy in raised.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_where_selinux_is_on_the_program_gets_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps() -> list[str]:
        return [step.text for step in installation(tmp_path, FakeSystemctl()).plan()]

    assert not any("restorecon" in text for text in steps())
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    (tmp_path / "sys/fs/selinux/enforce").write_text("1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/restorecon").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/labelled\n')
    (tmp_path / "bin/restorecon").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    for step in installation(tmp_path, FakeSystemctl()).plan():
        if "restorecon" in step.text:
            step.do()
    assert "/opt/lastcall/bin" in (tmp_path / "labelled").read_text()


def test_libvirt_guests_list_becomes_ours(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.boot, state.previous_boot = boot_id(), "before"
    text = f"default {GUEST.uuid} 00000000-0000-0000-0000-000000000000\nlxc:///system {OTHER.uuid.upper()}\n\n"
    older = takeover.GuestsList(text, written=100.0, booted=200.0)
    added = takeover.adopt(older, state, {GUEST.uuid: GUEST})
    assert [(entry.name, entry.uri, entry.boot_id, entry.due) for entry in added] == [
        ("db 1", "qemu:///system", "before", True), (OTHER.uuid, "lxc:///system", "before", True),
    ]  # fmt: skip
    assert all(entry.is_due_from(state.previous_boot) for entry in added)
    assert takeover.adopt(older, state, {}) == [], "who is on the list stays as he is"
    younger = takeover.GuestsList(f"lxc:///system {GUEST.uuid}", written=300.0, booted=200.0)
    (entry,) = takeover.adopt(younger, state, {})
    assert (entry.boot_id, entry.due) == (boot_id(), True)


@pytest.mark.parametrize("on_duty", [False, True])
def test_only_a_list_of_a_libvirt_guests_that_is_on_duty_has_anybody_started(tmp_path: Path, on_duty: bool) -> None:
    """Left behind when it was disabled, it may be years old: nobody is lost by it, and nobody started."""
    (tmp_path / takeover.LIST).parent.mkdir(parents=True)
    (tmp_path / takeover.LIST).write_text(f"default {GUEST.uuid}\n")
    units = {"libvirt-guests.service": GUESTS_ON_DUTY if on_duty else {**GUESTS_ON_DUTY, **OFF_DUTY}}
    systemctl = FakeSystemctl(units, show="UserspaceTimestamp=@100")
    (step,) = [step for step in installation(tmp_path, systemctl).plan() if "take 1 guest" in step.text]
    assert step.text.endswith("as libvirt-guests.service is not on duty") == (not on_duty)
    (tmp_path / "var/lib/lastcall").mkdir()
    step.do()
    state = open_state(tmp_path / "var/lib/lastcall")
    assert [(entry.uuid, entry.due) for entry in state.entries.values()] == [(GUEST.uuid, on_duty)]
    assert not (tmp_path / takeover.LIST).exists()


def test_libvirt_guests_list_is_read_line_by_line_as_its_script_reads_it() -> None:
    other = OTHER.uuid.upper()
    text = (
        f"\t qemu:///system  {GUEST.uuid}\t{other} \n\nlxc:///x\u00a0y {GUEST.uuid}\r\nqemu:///system {GUEST.uuid} what"
    )
    assert [(guest.uri, guest.uuid) for guest in takeover.listed_guests(text)] == [
        ("qemu:///system", GUEST.uuid), ("qemu:///system", OTHER.uuid), ("lxc:///x\u00a0y", GUEST.uuid),
    ]  # fmt: skip


def plan_with(root: Path, settings: str) -> list[InstallStep]:
    """What is done on a host on which libvirt-guests is on duty with these settings."""
    file = root / "etc/default/libvirt-guests"
    file.parent.mkdir(parents=True)
    file.write_text(settings)
    return installation(root, FakeSystemctl({"libvirt-guests.service": GUESTS_ON_DUTY})).plan()


def test_what_of_libvirt_guests_settings_is_not_understood_is_a_part_of_the_step(tmp_path: Path) -> None:
    steps = plan_with(tmp_path, "ON_SHUTDOWN=shutdown\nif true; then\n  ON_BOOT=start\nfi\n")
    file = tmp_path / "etc/default/libvirt-guests"
    assert [line for step in steps for line in step.lost] == [
        f"{file}:2: not taken over: if true; then is no assignment",
        f"{file}:3: not taken over: ON_BOOT is set where a shell would have to find out whether it is",
    ]


@pytest.mark.parametrize(("parallel", "serial"), [("0", True), ("1", True), ("2", False)])
def test_where_guests_stop_one_after_the_other_one_line_says_what_changes_that(
    tmp_path: Path, parallel: str, serial: bool
) -> None:
    steps = plan_with(tmp_path, f"ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN={parallel}\n")
    notes = [note for step in steps for note in step.notes]
    assert notes == (
        ["guests stop one after the other, as before; `shutdown: {parallel: 0}` stops them at once"] if serial else []
    )
    assert [line for step in steps for line in step.lost] == []


def test_the_time_of_the_boot_is_systemds() -> None:
    assert boot_time(FakeSystemctl(show="UserspaceTimestamp=@1700000000\n")) == 1700000000
    assert 0 < boot_time(FakeSystemctl(show="UserspaceTimestamp=n/a")) < time.time()


@pytest.mark.parametrize("packaged_too", [False, True])
def test_units_of_a_site_are_in_drop_ins_as_long_as_the_configuration_names_them(
    tmp_path: Path, *, packaged_too: bool
) -> None:
    named, systemctl = ["etcd.service"], FakeSystemctl()

    def settings(_text: str | None) -> Settings:
        return Settings(units=UnitSettings(after=tuple(named)))

    program = Path("/usr/bin/lastcall" if packaged_too else "/opt/lastcall/bin/lastcall")
    if packaged_too:
        beside_a_package(tmp_path, systemctl, str(program))
    ours = Installation(program=program, settings=settings, systemctl=systemctl, root=tmp_path)
    files = [tmp_path / f"etc/systemd/system/{name}.d/after.conf" for name in (SERVICE, RESTORE)]
    for undone in (False, True):
        named[:] = ["etcd.service"]
        carry_out(ours.plan())
        assert [path.read_text().splitlines()[1:] for path in files] == [["[Unit]", "After=etcd.service"]] * 2
        named.clear()
        carry_out(ours.undo() if undone else ours.plan())
        assert not [path for path in files if path.exists() or path.parent.exists()]


def beside_a_package(root: Path, systemctl: Systemctl, program: str, **paths: str) -> Installation:
    """On a host where a package has brought its units."""
    folder = root / packaged.PACKAGED_UNITS
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in packaged.packaged_units().items():
        (folder / name).write_text(text)

    def settings(_text: str | None) -> Settings:
        return Settings(paths=PathSettings.model_validate(paths))

    return Installation(program=Path(program), settings=settings, systemctl=systemctl, root=root)


def test_a_packages_units_are_used_where_they_are_and_nothing_is_written_over_them(tmp_path: Path) -> None:
    for step in installation(tmp_path, FakeSystemctl()).plan():  # as it was before there was a package
        step.do()
    systemctl = FakeSystemctl()
    ours = beside_a_package(tmp_path, systemctl, "/usr/bin/lastcall")
    brought = {path: path.read_text() for path in (tmp_path / "usr/lib").rglob("lastcall*")}
    for step in ours.plan():
        step.do()
    assert {path: path.read_text() for path in (tmp_path / "usr/lib").rglob("lastcall*")} == brought
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} - {
        str(path.relative_to(tmp_path)) for path in brought
    }
    assert left == {"etc/lastcall/config.yaml"}, "neither units nor completions are there twice"
    assert systemctl.told[-2:] == [
        ("reenable", "lastcall.service", "lastcall-restore.service", "lastcall-sleep.service"),
        ("start", "lastcall.service", "lastcall-stamp.service"),
    ]
    systemctl.told.clear()
    for step in ours.undo():
        step.do()
    assert ("stop", "lastcall.service") in systemctl.told
    assert ("disable", "lastcall.service", "lastcall-restore.service", "lastcall-sleep.service") in systemctl.told
    assert {path: path.read_text() for path in (tmp_path / "usr/lib").rglob("lastcall*")} == brought
    assert not (tmp_path / "etc/systemd/system/lastcall.service.d").exists()


def test_a_check_every_hour_is_there_for_whoever_asks_for_it_and_goes_with_the_rest(tmp_path: Path) -> None:
    systemctl = FakeSystemctl()
    for wanted, told in (
        (None, []), (True, [("enable", "--now", "lastcall-check.timer")]),
        (False, [("disable", "--now", "lastcall-check.timer")]),
    ):  # fmt: skip
        systemctl.told.clear()
        carry_out(replace(installation(tmp_path, systemctl), choices=Choices(check_timer=wanted)).plan())
        assert [words for words in systemctl.told if "lastcall-check.timer" in words] == told
        assert (tmp_path / "etc/systemd/system/lastcall-check.timer").exists()
    carry_out(installation(tmp_path, systemctl).undo())
    assert ("disable", "--now", "lastcall-check.timer") in systemctl.told
    assert not list(tmp_path.rglob("lastcall-check*"))


def test_another_program_than_the_packages_does_not_put_its_units_before_them(tmp_path: Path) -> None:
    with pytest.raises(LastcallError, match="runs another lastcall than /opt/lastcall/bin/lastcall"):
        beside_a_package(tmp_path, FakeSystemctl(), "/opt/lastcall/bin/lastcall").plan()
    assert not (tmp_path / "etc").exists()


def test_a_packages_units_are_told_where_the_list_is_kept_if_it_is_kept_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system"
    for step in beside_a_package(tmp_path, FakeSystemctl(), "/usr/bin/lastcall", state="/srv/my own").plan():
        step.do()
    text = (folder / "lastcall.service.d/paths.conf").read_text()
    assert 'RequiresMountsFor="/srv/my own" /usr/bin' in text
    stops = [line for line in text.splitlines() if line.startswith("ExecStop=")]
    assert stops[0] == "ExecStop=", "in place of the package's, not after them"
    assert len(stops) == 4
    assert stops[-1].endswith('last-line stop "/srv/my own" /run/lastcall')
    assert 'last-line stamp "/srv/my own"' in (folder / "lastcall-stamp.service.d/paths.conf").read_text()
    for step in beside_a_package(tmp_path, FakeSystemctl(), "/usr/bin/lastcall").plan():
        step.do()
    assert list(folder.glob("*.d/paths.conf")) == []


def test_a_packages_unit_goes_without_the_name_that_is_somebody_elses_and_is_enabled_all_the_same(
    tmp_path: Path,
) -> None:
    systemctl = FakeSystemctl({"graceful-shutdown.service": {**ACTIVE, "Id": "graceful-shutdown.service"}})
    for step in beside_a_package(tmp_path, systemctl, "/usr/bin/lastcall").plan():
        step.do()
    assert ("add-wants", "multi-user.target", "lastcall.service") in systemctl.told
    assert ("reenable", "lastcall-restore.service", "lastcall-sleep.service") in systemctl.told


def test_libvirt_guests_is_taken_over_only_if_that_is_wanted(tmp_path: Path) -> None:
    systemctl = FakeSystemctl({"libvirt-guests.service": GUESTS_ON_DUTY})
    wanted = installation(tmp_path, systemctl)
    with pytest.raises(Duel, match="`lastcall install --take-over` takes over from it"):
        replace(wanted, take_over=False).plan()
    assert list(tmp_path.iterdir()) == []
    assert any(str(GUESTS_DROP_IN) in step.text for step in wanted.plan())


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        ("/root/.cache/uv/archive-v0/3fUp", "/root/.cache"), ("/var/cache/uv/environments-v2/lastcall", "/var/cache"),
        ("/opt/pipx/.cache/0123abcd", "/opt/pipx/.cache"), ("/tmp/venv", "/tmp"), ("/run/user/0/venv", "/run"),
        ("/var/tmp/venv", "/var/tmp"), ("/dev/shm/venv", "/dev/shm"),
    ],
)  # fmt: skip
def test_a_program_that_will_be_swept_away_puts_nothing_on_duty(tmp_path: Path, folder: str, named: str) -> None:
    ours = replace(installation(tmp_path, FakeSystemctl()), program=Path(folder, "bin/lastcall"))
    with pytest.raises(LastcallError, match=rf"/bin/lastcall does not stay: {named} is emptied") as refused:
        ours.plan()
    assert "uv tool install" in str(refused.value.remedy)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "folder",
    ["/opt/lastcall", "/opt/pipx/venvs/lastcall", "/opt/uv/lastcall", "/root/.local/share/uv/tools/lastcall", "/usr",
     "/home/tmp/venv", "/srv/run/venv", "/opt/cached"],
)  # fmt: skip
def test_a_program_that_stays_is_put_on_duty_wherever_it_lies(tmp_path: Path, folder: str) -> None:
    ours = replace(installation(tmp_path, FakeSystemctl()), program=Path(folder, "bin/lastcall"))
    carry_out(ours.plan())
    assert (
        f"ExecStop=-{folder}/bin/lastcall shutdown --from-unit" in (tmp_path / UNITS / "lastcall.service").read_text()
    )


def test_a_group_may_speak_of_the_power_where_somebody_wants_that_and_as_long_as_he_does(tmp_path: Path) -> None:
    systemctl = FakeSystemctl()
    drop_in = tmp_path / "etc/systemd/system/lastcall-power.socket.d/group.conf"
    carry_out(installation(tmp_path, systemctl).plan())
    assert not drop_in.exists(), "by itself nobody but root may"
    assert not [words for words in systemctl.told if "lastcall-power.socket" in words]
    carry_out(replace(installation(tmp_path, systemctl), choices=Choices(speakers="daemon")).plan())
    assert "[Socket]\nSocketGroup=daemon\n" in drop_in.read_text()
    told = [words for words in systemctl.told if words[-1] == "lastcall-power.socket"]
    assert told == [("enable", "lastcall-power.socket"), ("restart", "lastcall-power.socket")]
    systemctl.told.clear()
    carry_out(installation(tmp_path, systemctl).plan())
    assert drop_in.exists(), "an upgrade leaves it"
    (tmp_path / "run/lastcall").mkdir(parents=True, exist_ok=True)
    (tmp_path / "run/lastcall/power.sock").touch()
    carry_out(replace(installation(tmp_path, systemctl), choices=Choices(speakers=NOBODY)).plan())
    assert ("disable", "--now", "lastcall-power.socket") in systemctl.told
    assert not drop_in.parent.exists()
    assert not (tmp_path / "run/lastcall/power.sock").exists(), "nobody waits for an answer of it"
    carry_out(replace(installation(tmp_path, systemctl), choices=Choices(speakers="daemon")).plan())
    carry_out(installation(tmp_path, systemctl).undo())
    assert not list((tmp_path / "etc/systemd").rglob("lastcall*"))
    assert systemctl.told.count(("disable", "--now", "lastcall-power.socket")) == 2
    assert ("stop", "lastcall-outage.service") in systemctl.told


def test_a_group_that_there_is_not_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no group nosuchgroup"):
        replace(installation(tmp_path, FakeSystemctl()), choices=Choices(speakers="nosuchgroup")).plan()
    assert list(tmp_path.iterdir()) == []

"""Who else stops guests, as found by asking systemd and looking into what it names."""

import re
from pathlib import Path

import pytest

from fake_systemctl import ACTIVE, GUESTS_ON_DUTY, FakeSystemctl, runs
from lastcall.config.settings import Settings
from lastcall.errors import Severity
from lastcall.systemd.rivals.other_stoppers import OtherStopper, find_other_stoppers
from lastcall.systemd.rivals.stop_commands import find_stop
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.unit_checks import check_units
from lastcall.systemd.units import GUESTS_DROP_IN, GUESTS_DROP_IN_TEXT

STATIC = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "static"}
STOPS = runs("/usr/bin/virsh shutdown db")


def found(units: dict[str, dict[str, str]], root: Path) -> dict[str, OtherStopper]:
    return {one.where: one for one in find_other_stoppers(FakeSystemctl(units), root)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/usr/bin/virsh shutdown db", "virsh shutdown"),
        ("virsh -q -c qemu:///system destroy db", "virsh destroy"),
        ('virsh --connect "$URI" managedsave "$vm"', "virsh managedsave"),
        ("virsh --connect=qemu+ssh://other/system save db /srv/db", "virsh save"),
        ("virsh 'shutdown db'", "virsh shutdown"),
        ("/bin/sh -c for vm in $(virsh list --name); do virsh shutdown $vm; done", "virsh shutdown"),
        ("virsh list --name | xargs -r -n1 virsh -q shutdown", "virsh shutdown"),
        ("virsh \\\n  shutdown db", "virsh shutdown"),
        ('VIRSH=/usr/bin/virsh\n"$VIRSH" -q shutdown db', "virsh shutdown"),
        ('${VIRSH:-virsh} shutdown "$vm"', "virsh shutdown"),
        ('run_virsh "$uri" shutdown "$guest" > /dev/null', "run_virsh shutdown"),
        ("for what in shutdown destroy; do virsh $what db; done", "virsh shutdown"),
        ("action=managedsave\nvirsh -q $action db", "virsh managedsave"),
        ("action=save; virsh -c qemu:///system $action", "virsh save"),
        ("virsh <<EOF\nshutdown db\nEOF", "virsh shutdown"),
        ("echo shutdown db | virsh -c qemu:///system", "virsh shutdown"),
        ('stop() { virsh "$@"; }\nstop destroy db', "virsh destroy"),
        ("timeout 60 qm shutdown 101 && qm stop 101", "qm shutdown"),
        ("virt-guests save --all", "virt-guests save"),
        ('subprocess.run(["virsh", "-c", uri, "shutdown", name])', "virsh shutdown"),
        ('subprocess.run(\n    ["virsh",\n     "destroy", name])', "virsh destroy"),
        ("import libvirt\nfor dom in all:\n    dom.shutdown()", "shutdown() of libvirt"),
        ("echo '# stop'; virsh shutdown db", "virsh shutdown"),
        ("virsh list --all", None),
        ("virsh -q list --name", None),
        ('virsh --connect "$URI" domstate db', None),
        ("OPTS=-q; virsh $OPTS list; echo shutdown", None),
        ("virsh list | grep shutdown", None),
        ("virsh list > /root/save", None),
        ("virsh start save", None),
        ("virsh net-destroy default; virsh managedsave-remove db; virsh save-image-dumpxml db", None),
        ("command -v virsh > /dev/null || exit; systemctl save", None),
        ("# virsh shutdown db", None),
        ("virsh list # not: virsh shutdown db", None),
        ('echo "never run virsh shutdown here"', None),
        ("virt-xml db --edit", None),
        ("/usr/sbin/shutdown -h now; destroy; save", None),
        ("import libvirt\npool.shutdown(); image.save(path)", None),
        ("", None),
    ],
)
def test_what_stops_guests_is_told_from_what_only_looks(text: str, expected: str | None) -> None:
    assert find_stop(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        'V="virsh -c qemu:///system"\n$V shutdown db', "export V=/usr/bin/virsh; ${V} destroy db",
        "V='virsh'\n\"$V\" -q save a b",
        "local CMD=virsh\nfor vm in $(${CMD} list --name); do timeout 9 $CMD shutdown $vm; done",
    ],
)  # fmt: skip
def test_a_program_is_known_by_whatever_variable_it_is_called(text: str) -> None:
    assert str(find_stop(text)).startswith("virsh ")
    assert find_stop(re.sub("shutdown|destroy|save", "domstate", text)) is None
    assert find_stop(text.replace("virsh", "systemctl")) is None


def test_units_are_found_wherever_they_lie_and_however_they_are_started(tmp_path: Path) -> None:
    scripts = tmp_path / "usr/local/bin"
    scripts.mkdir(parents=True)
    (scripts / "stopvm.sh").write_text("#!/bin/bash\nvirsh shutdown db\n")
    (scripts / "deeper.sh").write_text("#!/bin/bash\n/usr/local/bin/stopvm.sh\n")
    (scripts / "daemon").write_bytes(b"\x7fELF\0\nvirsh shutdown db\n")
    units = {
        "etc.service": {**ACTIVE, "ExecStop": STOPS, "FragmentPath": "/etc/systemd/system/etc.service"},
        "lib.service": {**ACTIVE, "ExecStopPost": STOPS, "FragmentPath": "/usr/lib/systemd/system/lib.service"},
        "second.service": {**ACTIVE, "ExecStop": runs("/usr/bin/virsh list", "stopvm.sh all")},
        "shell.service": {**ACTIVE, "ExecStop": runs("/bin/sh -c '. /usr/local/bin/stopvm.sh'")},
        "lines.service": {**ACTIVE, "ExecStop": runs("/bin/sh -c virsh list\n\nvirsh destroy db")},
        "sysv.service": {**STATIC, "UnitFileState": "generated", "WantedBy": "multi-user.target", "ExecStop": STOPS},
        "night.service": {**STATIC, "TriggeredBy": "night.timer", "ExecStart": STOPS},
        "last.service": {**STATIC, "ExecStart": STOPS},
        "poweroff.target": {"Wants": "last.service systemd-poweroff.service"},
        "list.service": {**ACTIVE, "ExecStart": runs("/usr/bin/virsh list"), "ExecStop": runs("/usr/bin/virsh list")},
        "deep.service": {**ACTIVE, "ExecStop": runs("/usr/local/bin/deeper.sh", "/usr/local/bin/daemon")},
        "off.service": {**STATIC, "UnitFileState": "disabled", "ExecStop": STOPS},
        "masked.service": {**ACTIVE, "LoadState": "masked", "UnitFileState": "masked"},
    }
    others = found(units, tmp_path)
    assert sorted(others) == ["etc.service", "last.service", "lib.service", "lines.service", "night.service",
                              "second.service", "shell.service", "sysv.service"]  # fmt: skip
    assert {one.severity for one in others.values()} == {Severity.WARNING}
    assert "--replace etc.service" in others["etc.service"].remedy
    assert "systemctl mask lib.service" in others["lib.service"].remedy
    assert others["second.service"].message.startswith("ExecStop runs `virsh shutdown` by /usr/local/bin/stopvm.sh")
    assert "virsh destroy" in others["lines.service"].message
    assert "night.timer" in others["night.service"].message
    assert "disable --now night.timer" in others["night.service"].remedy
    assert "when the host goes down" in others["last.service"].message


def test_a_drop_in_that_has_a_unit_stop_guests_is_named(tmp_path: Path) -> None:
    drop_in = tmp_path / "etc/systemd/system/web.service.d/guests.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStopPost=/usr/bin/virsh \\\n  shutdown db\n")
    shown = {**ACTIVE, "ExecStopPost": STOPS, "FragmentPath": "/etc/systemd/system/web.service",
             "DropInPaths": "/etc/systemd/system/web.service.d/guests.conf"}  # fmt: skip
    assert str(drop_in) in found({"web.service": shown}, tmp_path)["web.service"].remedy


def test_a_template_is_told_once_and_keeps_nobody_else_from_being_found(tmp_path: Path) -> None:
    template = {"FragmentPath": "/etc/systemd/system/libvirt-vm@.service", "ExecStop": STOPS, **ACTIVE}
    units = {f"libvirt-vm@{name}.service": template for name in ("a", "b", "c", "d")}
    others = found({"libvirt-vm@.service": ACTIVE, **units, "x.service": {**ACTIVE, "ExecStop": STOPS}}, tmp_path)
    assert list(others) == ["libvirt-vm@.service", "x.service"]
    assert "libvirt-vm@c.service and 1 more" in others["libvirt-vm@.service"].message
    assert "--replace libvirt-vm@.service" in others["libvirt-vm@.service"].remedy


class Refuses(FakeSystemctl):
    """Its systemd knows a unit whose name it does not take."""

    def ask(self, *words: str) -> str:
        if words[0] == "list-units":
            return super().ask(*words) + "libvirt-odd@.service loaded active exited odd\n"
        return super().ask(*words)


def test_a_unit_that_systemd_says_nothing_of_is_one_units_problem(tmp_path: Path) -> None:
    systemctl = Refuses({f"{number}.service": {**ACTIVE, "ExecStop": STOPS} for number in range(9)})
    others = {one.where: one for one in find_other_stoppers(systemctl, tmp_path)}
    assert len(others) == 10
    assert "not known: Unit name libvirt-odd@.service is neither" in others["libvirt-odd@.service"].message


def test_a_systemd_that_does_not_tell_who_else_is_there_is_one_problem_of_several(tmp_path: Path) -> None:
    class Silent(FakeSystemctl):
        def ask(self, *words: str) -> str:
            if words[0] == "list-units":
                raise SystemctlFailed("no answer within 5 s")
            return super().ask(*words)

    told = [one.message for one in check_units(Silent({}), Settings(), tmp_path)]
    assert told[:2] == [
        "whether units of others stop guests is not known: no answer within 5 s",
        "is not installed: a shutdown of this host stops no guest",
    ]


def test_libvirt_guests_is_a_rival_as_long_as_anything_of_it_stands(tmp_path: Path) -> None:
    harmless = {**ACTIVE, "ExecStart": runs("/bin/true"), "ExecStop": ""}
    assert found({"libvirt-guests.service": harmless}, tmp_path) == {}
    off = {**GUESTS_ON_DUTY, "ActiveState": "inactive", "UnitFileState": "disabled"}
    assert found({"libvirt-guests.service": off}, tmp_path) == {}
    (before,) = found({"libvirt-guests.service": GUESTS_ON_DUTY}, tmp_path).values()
    assert (before.severity, before.remedy) == (Severity.ERROR, "`lastcall install --take-over` takes over from it")
    for key in ("ExecCondition", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost"):
        shown = {**harmless, key: runs("/bin/anything"), "DropInPaths": f"/{GUESTS_DROP_IN}"}
        (still,) = found({"libvirt-guests.service": shown}, tmp_path).values()
        assert f"it still runs {key}=/bin/anything" in still.message
        assert still.severity is Severity.ERROR
    another = {**harmless, "ExecStart": runs("/bin/true", "/bin/true and more")}
    assert "libvirt-guests.service" in found({"libvirt-guests.service": another}, tmp_path)


def test_what_libvirt_does_by_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    (tmp_path / "etc/libvirt/qemu.conf").write_text(
        '#auto_shutdown_try_save = "all"\nauto_shutdown_try_shutdown = "persistent"\nauto_shutdown_poweroff="none"\n'
    )
    ((where, one),) = found({}, tmp_path).items()
    assert where == str(tmp_path / "etc/libvirt/qemu.conf")
    assert "auto_shutdown_try_shutdown is persistent" in one.message
    assert one.severity is Severity.ERROR


def test_a_unit_of_somebody_elses_by_a_name_of_ours_is_named_whatever_it_runs(tmp_path: Path) -> None:
    for shown in ({**STATIC, "UnitFileState": "disabled"}, {"LoadState": "masked"}, {**ACTIVE, "ExecStop": runs("/x")}):
        ((where, one),) = found({"graceful-shutdown.service": shown}, tmp_path).items()
        assert where == "graceful-shutdown.service"
        assert "has a name of lastcall.service" in one.message
    ours = {**ACTIVE, "Id": "lastcall.service", "ExecStop": runs("/etc/lastcall/last-line")}
    assert found({"graceful-shutdown.service": ours, "lastcall.service": ours}, tmp_path) == {}


def test_no_command_of_a_unit_is_left_out_of_what_disarms_it() -> None:
    """systemd.service(5) has seven; a unit without any would be refused, so one stays that does nothing."""
    emptied = {line for line in GUESTS_DROP_IN_TEXT.splitlines() if line.startswith("Exec")}
    names = ("Condition", "StartPre", "Start", "StartPost", "Reload", "Stop", "StopPost")
    assert emptied == {f"Exec{name}=" for name in names} | {"ExecStart=/bin/true"}


def test_properties_are_read_as_systemctl_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemctl"
    program.write_text(
        "#!/bin/sh\nfor unit; do case $unit in *.service) "
        "printf '%s' \"${before}ExecStop={ a }\nExecStop={ b\n\nodd=1 }\nId=$unit\n\"; before='\n';; esac; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    shown, refused = Systemctl().show_all(["one.service", "two.service"], "ExecStop")
    text = "{ a }\n{ b\n\nodd=1 }"
    assert shown == [{"Id": "one.service", "ExecStop": text}, {"Id": "two.service", "ExecStop": text}]
    assert refused == {}

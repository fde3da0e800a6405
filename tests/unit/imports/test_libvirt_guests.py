"""libvirt-guests' settings, read without a shell, and told in our words."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lastcall import Guest
from lastcall.config import load
from lastcall.config.policies import Policies
from lastcall.config.settings import Bootstrap, Settings
from lastcall.hooks.discovery import Plugins
from lastcall.imports.libvirt_guests import DEFAULTS, as_yaml, distribution_defaults, find_file, read_settings
from lastcall.planning.plan import Circumstances, make_plan
from lastcall.timing.deadline import Deadline
from lastcall_plugins.acpi import Acpi
from lastcall_plugins.agent import Agent

NASTY = [
    "URIS='qemu:///system lxc:///system'  # two of them",
    'URIS="qemu:///system\n lxc:///system"',
    "export SHUTDOWN_TIMEOUT=60",
    "START_DELAY=3 # seconds",
    "  ON_BOOT=ignore",
    "ON_SHUTDOWN=shut\\\ndown",
    "SYNC_TIME=\"1\"",
    "URIS=",
    "BYPASS_CACHE='$(id)'",
    "URIS=a\\ b",
    "ON_BOOT='it'\"s\"",
    "ON_BOOT=it#s # what",
    "# a comment ends with its line \\\nON_BOOT=ignore",
    "# and with that alone \x85SYNC_TIME=1 \u2028SYNC_TIME=1\nON_BOOT=ignore # 'it",
    "ON_BOOT='a\\\nb'",
    'ON_BOOT="a\\\nb"',
]  # fmt: skip


def settings(text: str) -> Settings:
    vocabulary = Plugins(Bootstrap()).vocabulary
    return load.parse(as_yaml(read_settings(text), "libvirt-guests"), "imported.yaml").settings(vocabulary)


def ladder(found: Settings) -> list[Any]:
    return [step.chosen[0] for step in found.defaults.stop]


@pytest.mark.parametrize("text", NASTY)
def test_a_value_is_read_as_a_shell_would_read_it(text: str) -> None:
    name = next(name for name in DEFAULTS if name in text)
    command = ["sh", "-c", f'{text}\nprintf %s "${name}"']
    expected = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = read_settings(text)
    assert found.unread == []
    assert found.values[name] == expected
    assert found.given == {name}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("URIS=$(cat /etc/uris)", "would have to be worked out by a shell"),
        ('URIS="$OTHER"', "would have to be worked out by a shell"),
        ("URIS=`id`", "would have to be worked out by a shell"),
        ("ON_BOOT=start; rm -rf /", "would have to be worked out by a shell"),
        ("ON_BOOT=start touch /tmp/no", "would have to be worked out by a shell"),
        ("if true; then", "is no assignment"),
        ("touch /tmp/no", "is no assignment"),
        ("URIS='open", "quotation mark is not closed"),
        ("PARALELL_SHUTDOWN=3", "is no setting of libvirt-guests"),
        ("SHUTDOWN_TIMEOUT=-5", "is negative, with which libvirt-guests refuses to run"),
        ("SHUTDOWN_TIMEOUT=soon", "'soon' is not a number"),
        ("SHUTDOWN_TIMEOUT=99999999", "is too large"),
        ("PARALLEL_SHUTDOWN=many", "'many' is not a number"),
    ],
)
def test_what_cannot_be_read_without_running_it_is_said_and_the_default_is_kept(line: str, why: str) -> None:
    found = read_settings(f"# a comment\n{line}\n")
    ((number, message),) = found.unread
    assert (number, why in message) == (2, True), message
    assert found.values == DEFAULTS
    assert f"not taken over: line 2: {message.splitlines()[0]}" in as_yaml(found, "f")


def test_every_setting_keeps_its_meaning() -> None:
    stock = settings("")
    assert [one.uri for one in stock.connections] == ["default"]
    assert ladder(stock) == ["save", "agent", "acpi"]
    assert (stock.shutdown.parallel, stock.restore.policy, stock.defaults.last_resort) == (1, "was-running", ())
    assert (stock.defaults.transient, stock.restore.sync_time, stock.restore.parallel) == ("leave", "never", 1)

    shut = settings("ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN=7\nSHUTDOWN_TIMEOUT=40\nURIS='a:/// b:/// a:///'")
    assert [one.uri for one in shut.connections] == ["a:///", "b:///"], "each once"
    assert (ladder(shut), shut.shutdown.parallel, shut.defaults.timeout) == (["agent", "acpi"], 7, 40)
    assert shut.shutdown.deadline == 2 * 40 + 60, "one timeout for each connection"
    assert shut.defaults.transient == "stop"

    for serial in ("0", "1"):
        found = settings(f"ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN={serial}")
        assert (found.shutdown.parallel, found.shutdown.deadline) == (1, 1500)
    assert settings("ON_SHUTDOWN=shutdown\nSHUTDOWN_TIMEOUT=0").defaults.timeout == 1500, "for ever has an end now"
    assert ladder(settings("ON_SHUTDOWN=Shutdown")) == ["save", "agent", "acpi"], "only `shutdown` means shutdown"
    assert settings("ON_BOOT=yes").restore.policy == "none", "only `start` restores"
    odd = settings("SYNC_TIME=yes\nBYPASS_CACHE=2\nSTART_DELAY=4")
    assert (odd.restore.sync_time, odd.restore.bypass_cache, odd.restore.delay) == ("always", True, 4)
    assert odd.defaults.stop[0].chosen[1].bypass_cache
    for value, shutdown, suspend in (
        ("default", "stop", "leave"),
        ("true", "leave", "leave"),
        ("false", "stop", "leave"),
    ):
        assert settings(f"PERSISTENT_ONLY={value}\nON_SHUTDOWN=shutdown").defaults.transient == shutdown
        assert settings(f"PERSISTENT_ONLY={value}").defaults.transient == suspend


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ON_SHUTDOWN='shutdown '", "ON_SHUTDOWN: 'shutdown ' is neither shutdown nor suspend; it counts as suspend"),
        ("ON_BOOT=Start", "ON_BOOT: 'Start' is neither start nor ignore; it counts as ignore"),
        ("PERSISTENT_ONLY=1", "PERSISTENT_ONLY: '1' is neither true nor false nor default; it counts as default"),
        (
            "LIBVIRT_SHUTDOWN=acpi",
            "LIBVIRT_SHUTDOWN: 'acpi' is neither shutdown nor destroy nor managedsave; it counts",
        ),
        ("ON_SHUTDOWN=suspend\nON_BOOT=ignore\nPERSISTENT_ONLY=false\nSYNC_TIME=yes", ""),
        ("LIBVIRT_SHUTDOWN=destroy\nLIBVIRT_START=no", ""),
    ],
)
def test_a_word_that_the_original_takes_for_another_without_a_sound_is_told_of(text: str, told: str) -> None:
    found = read_settings(text)
    notes = [note for note in found.notes if "counts as" in note]
    assert [note.startswith(told) for note in notes] == ([True] if told else [])
    assert all(f"# {note}\n" in as_yaml(found, "f") for note in notes), (
        "whoever reads the configuration is told as well"
    )


def test_a_line_is_said_to_come_from_the_setting_that_it_comes_from() -> None:
    """Saves come one after the other, whatever PARALLEL_SHUTDOWN says."""
    for way, said in (("suspend", "saved one after the other"), ("shutdown", "PARALLEL_SHUTDOWN=10")):
        text = as_yaml(read_settings(f"ON_SHUTDOWN={way}\nPARALLEL_SHUTDOWN=10"), "f")
        (line,) = [line for line in text.splitlines() if line.strip().startswith("parallel:") and "starts" not in line]
        assert line.endswith(f"# {said}")


def times(found: Settings) -> list[tuple[str, float | None]]:
    return [(step.chosen[0], getattr(step.chosen[1], "timeout", None)) for step in found.defaults.stop]


@pytest.mark.parametrize("crowd", [1, 5])
@pytest.mark.parametrize("parallel", ["0", "3"])
def test_each_guest_has_the_time_that_it_had_however_many_there_are(parallel: str, crowd: int) -> None:
    found = settings(f"ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN={parallel}\nSHUTDOWN_TIMEOUT=300")
    guests = [Guest(uri="qemu:///system", uuid=str(number), name=f"guest-{number}") for number in range(crowd)]
    methods = {"agent": Agent(), "acpi": Acpi()}
    plan = make_plan(guests, Policies(found), Circumstances(methods=methods, slots=found.shutdown.parallel))
    # libvirt's own request waits a minute for an agent before it presses the button, and the time counts from there.
    assert {tuple((step.method, step.timeout) for step in one.steps) for one in plan.guests} == {
        (("agent", 60), ("acpi", 300))
    }
    assert all(one.last_resort == () for one in plan.guests)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ON_SHUTDOWN=shutdown\nSHUTDOWN_TIMEOUT=7", [("agent", 60), ("acpi", 7)]),
        ("ON_SHUTDOWN=shutdown\nSHUTDOWN_TIMEOUT=0", [("agent", 60), ("acpi", None)]),
        ("ON_SHUTDOWN=suspend\nSHUTDOWN_TIMEOUT=7", [("save", 600), ("agent", 60), ("acpi", 7)]),
    ],
)
def test_the_time_of_a_guest_is_that_of_its_last_rung(text: str, expected: list[tuple[str, float | None]]) -> None:
    assert times(settings(text)) == expected


@pytest.mark.parametrize("timeout", [1, 5, 60, 300, 1500, 4000])
@pytest.mark.parametrize("parallel", [0, 4])
def test_the_deadline_leaves_every_guest_its_time_before_the_last_resort(parallel: int, timeout: int) -> None:
    found = settings(f"ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN={parallel}\nSHUTDOWN_TIMEOUT={timeout}").shutdown
    limit = Deadline.after(0.0, found.deadline, reserve=found.reserve, grace=found.grace)
    assert limit.last_resort >= timeout


def test_one_line_says_which_setting_makes_it_parallel() -> None:
    def said(text: str) -> list[str]:
        return [line for line in as_yaml(read_settings(text), "f").splitlines() if "parallel: 0}" in line]

    for serial in ("ON_SHUTDOWN=shutdown", "ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN=1", "ON_SHUTDOWN=suspend"):
        (line,) = said(serial)
        assert line == "  # Guests stop one after the other, as before; `shutdown: {parallel: 0}` stops them at once."
    assert said("ON_SHUTDOWN=shutdown\nPARALLEL_SHUTDOWN=2") == []


def test_the_settings_of_gentoo_and_alpine_keep_their_meaning() -> None:
    """Whom their script asks it asks at once, and it pulls the plug of who does not stop."""
    shut = settings("LIBVIRT_URIS='qemu lxc:///system'\nLIBVIRT_SHUTDOWN=shutdown\nLIBVIRT_MAXWAIT=120")
    assert [one.uri for one in shut.connections] == ["qemu:///system", "lxc:///system"]
    assert (times(shut), shut.shutdown.parallel) == ([("agent", 60), ("acpi", 120)], 0)
    assert [step.chosen[0] for step in shut.defaults.last_resort] == ["destroy"]
    assert (shut.defaults.transient, shut.restore.policy, shut.restore.sync_time) == ("stop", "was-running", "always")
    assert shut.shutdown.deadline == 2 * 120 + 60

    shipped = settings('# LIBVIRT_SHUTDOWN\n#LIBVIRT_SHUTDOWN="managedsave"\n#LIBVIRT_MAXWAIT="500"\n')
    assert [one.uri for one in shipped.connections] == ["qemu:///system"], "its own defaults, not upstream's"
    assert (ladder(shipped), shipped.defaults.timeout) == (["save", "agent", "acpi"], 500)
    assert shipped.shutdown.parallel == 1

    assert ladder(settings("LIBVIRT_SHUTDOWN=destroy")) == ["destroy"]
    assert ladder(settings("LIBVIRT_SHUTDOWN=whatever")) == ["save", "agent", "acpi"]
    assert settings("LIBVIRT_MAXWAIT=").defaults.timeout == 500
    assert settings("LIBVIRT_START=no").restore.policy == "none"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("LIBVIRT_NET_SHUTDOWN=yes", "stops and starts no networks"),
        ("LIBVIRT_MAXWAIT=0", "leaves a guest no time"),
        ("LIBVIRT_MAXWAIT=soon", "is not a number"),
        ("LIBVIRT_URIS=$URIS", "would have to be worked out by a shell"),
        ("LIBVIRT_SHUTDWON=shutdown", "is no setting"),
    ],
)
def test_what_of_them_has_no_meaning_here_is_said(line: str, why: str) -> None:
    found = read_settings(f"LIBVIRT_SHUTDOWN=shutdown\n{line}\n")
    ((number, message),) = found.unread
    assert (number, why in message) == (2, True), message


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_windows_line_end_is_told_from_a_value(line_end: str) -> None:
    found = read_settings(line_end.join(("# a comment", "", "ON_BOOT=ignore", "URIS='qemu:///system'", "")))
    assert len(found.unread) == (2 if line_end == "\r\n" else 0)
    assert all("Windows line end" in what for _, what in found.unread)


def test_a_delay_is_what_sleep_takes() -> None:
    for delay, seconds in (("0", 0), ("1.5", 1.5), ("010", 10), ("5s", 5), ("2m", 120), ("1h", 3600)):
        found = read_settings(f"START_DELAY={delay}")
        assert found.unread == []
        assert settings(f"START_DELAY={delay}").restore.delay == seconds
    for delay in ("soon", "-1", "999999d", "1m30s"):
        assert read_settings(f"START_DELAY={delay}").unread, delay


def test_a_value_with_a_line_end_stays_in_its_comment() -> None:
    found = settings("ON_BOOT='start\nguests: nonsense'\nURIS=$(x\nshutdown: nonsense)\n")
    assert found.restore.policy == "none"
    assert found.guests == ()


def test_the_file_and_the_distributions_defaults_are_found(tmp_path: Path) -> None:
    assert find_file(tmp_path) is None
    assert distribution_defaults(tmp_path) == DEFAULTS
    script = tmp_path / "usr/lib/libvirt/libvirt-guests.sh"
    script.parent.mkdir(parents=True)
    script.write_text(
        'URIS="default"\nON_BOOT="ignore"\nON_SHUTDOWN="shutdown"\nLISTFILE="$x"\nON_BOOT=later\nSTART_DELAY=x\nSYNC_TIME="\n'
    )
    assert distribution_defaults(tmp_path) == {**DEFAULTS, "ON_BOOT": "ignore", "ON_SHUTDOWN": "shutdown"}
    for name in (
        "conf.d/libvirt-guests",
        "libvirt/libvirt-guests.conf",
        "default/libvirt-guests",
        "sysconfig/libvirt-guests",
    ):
        (tmp_path / "etc" / name).parent.mkdir(parents=True)
        (tmp_path / "etc" / name).touch()
        assert find_file(tmp_path) == tmp_path / "etc" / name

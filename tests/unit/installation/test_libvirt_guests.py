"""libvirt-guests' settings, read without a shell, and told in our words."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from lastcall.config import load
from lastcall.config.settings import Bootstrap, Settings
from lastcall.hooks.discovery import Plugins
from lastcall.installation.libvirt_guests import DEFAULTS, as_yaml, distribution_defaults, find_file, read_settings

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
    for folder in ("conf.d", "default", "sysconfig"):
        (tmp_path / "etc" / folder).mkdir(parents=True)
        (tmp_path / "etc" / folder / "libvirt-guests").touch()
        assert find_file(tmp_path) == tmp_path / "etc" / folder / "libvirt-guests"

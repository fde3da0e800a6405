"""Status and login tell of guests that were forced, left or failed, until `lastcall report --ack`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lastcall.api.guests import Reason
from lastcall.cli.group import cli
from lastcall.errors import ConfigInvalid, UsageError
from lastcall.testing.memory import FakeGuest, run_shutdown

Call = Callable[..., Result]
DEAF = frozenset({"acpi", "agent"})


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    config = tmp_path / "config.yaml"
    config.write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}/run}}\nrestore: {{policy: none}}\n")
    monkeypatch.setenv("SUDO_USER", "ada")

    def call(*words: str) -> Result:
        return CliRunner().invoke(cli, ["--config", str(config), *words], prog_name="lastcall", standalone_mode=False)

    return call


@pytest.fixture
def bad(tmp_path: Path) -> str:
    """A host stop that had to force a guest off; its id."""
    guests = [FakeGuest("web-1"), FakeGuest("db\n-1", deaf_to=DEAF)]
    return run_shutdown(tmp_path, guests, reason=Reason.POWEROFF).run.id


def test_status_and_login_tell_until_it_is_seen_and_again_of_the_next(tmp_path: Path, call: Call, bad: str) -> None:
    motd = tmp_path / "run" / "motd"
    told = call("status").stdout
    assert "! shutdown (poweroff) of " in told
    assert ": 1 forced (db\\n-1)\n" in told
    assert f"→ `lastcall report {bad}` tells it; `lastcall report --ack` once it is seen\n" in told
    assert motd.read_text().startswith("lastcall: shutdown (poweroff) of ")
    assert len(motd.read_text().splitlines()) == 1
    noted = call("report", "--ack")
    assert (noted.return_value, "noted as seen by ada:\n  shutdown (poweroff) of " in noted.stdout) == (0, True)
    assert not motd.exists()
    assert "! " not in call("status").stdout
    assert call("report", "--ack").stdout.endswith("nothing was unseen\n")
    run_shutdown(tmp_path, [FakeGuest("mail", deaf_to=DEAF)])
    assert "1 left (mail)" in call("status").stdout
    assert motd.exists()


def test_both_documents_say_what_is_unseen_and_who_has_seen_the_rest(call: Call, bad: str) -> None:
    before = json.loads(call("status", "--json").stdout)
    assert [(run["id"], [guest["outcome"] for guest in run["guests"]]) for run in before["unseen"]] == [
        (bad, ["forced"])
    ]
    assert before["seen"] is None
    assert json.loads(call("report", "--json").stdout)["acknowledged"] is None
    noted = json.loads(call("report", "--ack", "--json").stdout)
    assert (noted["acknowledged"]["by"], noted["acknowledged"]["runs"]) == ("ada", before["unseen"])
    after = json.loads(call("status", "--json").stdout)
    assert (after["unseen"], after["seen"]) == ([], {key: noted["acknowledged"][key] for key in ("by", "at")})


def test_to_have_been_told_of_it_is_not_to_have_seen_it(call: Call, bad: str) -> None:
    assert call("report", bad).return_value == 1
    assert json.loads(call("status", "--json").stdout)["unseen"]


@pytest.mark.parametrize("words", [("1",), ("--list",)])
def test_what_is_seen_is_everything_up_to_now(call: Call, bad: str, words: tuple[str, ...]) -> None:
    assert isinstance(call("report", "--ack", *words).exception, UsageError)
    assert [run["id"] for run in json.loads(call("status", "--json").stdout)["unseen"]] == [bad]


def test_nothing_is_noted_elsewhere_than_the_configuration_says(tmp_path: Path, call: Call, bad: str) -> None:
    assert bad
    (tmp_path / "config.yaml").write_text("paths: [\n")
    assert isinstance(call("report", "--ack").exception, ConfigInvalid)
    assert not (tmp_path / "seen.json").exists()


def test_forgetting_a_guest_leaves_the_line_that_is_unseen(tmp_path: Path, call: Call, bad: str) -> None:
    assert bad
    assert call("forget", "--all").return_value == 0
    assert (tmp_path / "run" / "motd").read_text().startswith("lastcall: shutdown (poweroff) of ")

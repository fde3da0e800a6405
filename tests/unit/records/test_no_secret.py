"""Whole runs in which a secret is read and something fails: it stands in no report, no log, no evidence, no list."""

import json
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, HookFailed, NoShell, Outcome, Problem, Run, ShellRefused
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.errors import ConfigInvalid, LastcallError
from lastcall.formats import secret_text
from lastcall.guest_shell.command_wrapper import wrap_command
from lastcall.guest_shell.shell import ChosenShell
from lastcall.hooks.discovery import Plugins
from lastcall.options import Secret
from lastcall.report.text import report_json
from lastcall.testing.memory import FakeGuest, run_shutdown
from support import by_name

PASSWORDS = [
    "hunter2hunter2", "nul\0inside-it", "two\nlines of it", "it's \"quoted\" \\ $(here)", "postgres", "stopped",
    "x" * 60_000, "ümläut ☃ password", "tab\tand\x1b[31mred",
]  # fmt: skip
IDS = [repr(text[:20]) for text in PASSWORDS]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(secret_text, "_KNOWN", secret_text.KnownSecrets())


class Careless:
    """A plugin that says the secret wherever it can, and then fails with it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        password = Secret(str(self._file)).read().reveal()
        run.log(f"the password is {password}")
        run.evidence(password=password, shown=[repr(password), {"deep": password.encode()}])
        raise ValueError(f"cannot log in with {password!r}")

    @lastcall.hookimpl
    def on_guest_stopped(self, guest: Guest, run: Run) -> None:
        password = Secret(str(self._file)).read()
        raise HookFailed(f"not with {password.reveal()}", f"another one than {password.reveal()}", None)


def secret_file(folder: Path, text: str) -> Path:
    file = folder / "password"
    file.write_bytes(text.encode())
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("password", PASSWORDS, ids=IDS)
def test_what_a_plugin_says_and_fails_with_is_told_without_the_secret_it_read(tmp_path: Path, password: str) -> None:
    plugin = Careless(secret_file(tmp_path, password))
    guests = [FakeGuest("postgres"), FakeGuest("b")]
    report = run_shutdown(tmp_path, guests, plugins={"careless": plugin})
    assert [guest.outcome for guest in report.guests] == [Outcome.STOPPED] * 2
    calls = [call for guest in report.guests for call in guest.hooks]
    assert any("cannot log in with" in call.message for call in calls), "the rest of it is told"
    told = [text for call in calls for text in (call.message, json.dumps(call.evidence))]
    told += [problem.message + problem.remedy for problem in report.problems]
    for line in "".join(log.read_text() for log in (tmp_path / "runs").iterdir()).splitlines():
        record = json.loads(line)
        told += [str(record.get(key, "")) for key in ("line", "traceback")]
    pieces = {password, repr(password)[1:-1], json.dumps(password)[1:-1], *password.splitlines()}
    for piece in pieces:
        assert not [text for text in told if piece in text or piece[:2000] in text]
    assert by_name(report, "postgres").name == "postgres", (
        "a guest that is called like a password is found all the same"
    )
    json.loads(report_json(report))


def test_a_password_that_no_command_can_take_is_named_by_its_variable(tmp_path: Path) -> None:
    for text in ("nul\0inside-it", "lone \ud800 surrogate"):
        with pytest.raises(ShellRefused, match="the environment variable PGPASSWORD contains a") as caught:
            wrap_command(["psql"], timeout=1, env={"PGPASSWORD": text})
        assert "nul" not in str(caught.value).lower().replace("nul character", "")
        assert "lone \ud800" not in str(caught.value)
        with pytest.raises(ShellRefused, match="word 1 of the command contains a") as caught:
            wrap_command(["psql", text], timeout=1)
        assert text not in str(caught.value)


def test_secrets_are_handed_on_as_they_are_and_arrive_as_what_they_are() -> None:
    given: list[bytes] = []

    class Session(lastcall.ShellSession):
        def execute(self, command: lastcall.Command) -> lastcall.CommandResult:
            given.append(command.input)
            assert "hunter2" not in repr(command)
            said = f"\n{command.argv[4]} exit 0\n"
            return lastcall.CommandResult(exit_code=0, stdout="", stderr=said, truncated=False, duration=0, shell="s")

    class Provider(lastcall.GuestShell):
        def connect(self, guest: Guest, run: Run) -> Any:
            return Session()

    class View:
        def remaining(self) -> float:
            return 10.0

    def view(_plugin: str) -> Any:
        return View()

    secret = lastcall.SecretText("it's hunter2")
    guest = Guest(uri="fake:///", uuid="u", name="g")
    ChosenShell(guest, ["s"], {"s": ("s", Provider())}, view).run("true", env={"P": secret, "Q": "q"}, input=secret)
    assert b"export P='it'\"'\"'s hunter2'\nexport Q=q\n" in given[0]
    assert given[0].endswith(b"\nit's hunter2")
    with pytest.raises(NoShell):
        ChosenShell(guest, [], {}, view)


@pytest.mark.parametrize("given", ["hunter2/hunter2", "12345678", "[hunter2]", "'hunter2 with blanks'", "{a: hunter2}"])
@pytest.mark.parametrize(
    "key", ["ssh: {key: %s}", "ssh: {password_file: %s}", "databases: {postgresql: {password_file: %s}}"]
)
def test_a_secret_in_the_place_of_its_reference_is_not_quoted(key: str, given: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(f"guests:\n  - match: a\n    {key % given}\n", "c.yaml").settings(Plugins(Bootstrap()).vocabulary)
    assert "hunter2" not in str(caught.value)
    assert "12345678" not in str(caught.value)
    assert all(problem.where.startswith("c.yaml:3:") for problem in caught.value.problems)


def test_a_secret_under_a_key_that_is_none_is_not_quoted() -> None:
    text = "guests:\n  - match: a\n    databases: {postgresql: {password: hunter2}}\n    ssh: {passwd: hunter2}\n"
    with pytest.raises(ConfigInvalid) as caught:
        parse(text, "c.yaml").settings(Plugins(Bootstrap()).vocabulary)
    assert "hunter2" not in str(caught.value) + str([problem.remedy for problem in caught.value.problems])


def test_settings_show_where_a_secret_is_kept_and_a_file_that_is_no_text_is_not_quoted(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "hunter2")
    text = f"guests:\n  - match: a\n    ssh: {{password_file: {file}}}\n"
    settings = parse(text).settings(Plugins(Bootstrap()).vocabulary)
    assert str(file) in str(settings.model_dump(mode="json"))
    Secret(str(file)).read()
    assert "hunter2" not in str(settings.model_dump(mode="json")) + repr(settings)
    file.write_bytes(b"hunter2\xff\xfe")
    with pytest.raises(LastcallError, match="it is no text") as caught:
        Secret(str(file)).read()
    assert "hunter2" not in str(caught.value)


def test_a_problem_that_a_check_finds_is_told_without_the_secret(tmp_path: Path) -> None:
    secret = lastcall.SecretText("hunter2hunter2")

    class Checks:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> None:
            raise lastcall.ShellLost(f"the server says: {secret.reveal()} is wrong", f"not {secret.reveal()}")

    report = run_shutdown(tmp_path, [FakeGuest("a")], plugins={"checks": Checks()})
    assert "hunter2" not in report_json(report)
    assert Problem(what="x", where="y", message="z").message == "z"

"""A host key is one guest's: another guest with the same is refused, with both their names and what to do."""

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from lastcall import Guest, LastcallError, ShellError, ShellRefused
from lastcall_plugins.ssh import commands
from lastcall_plugins.ssh.hostkeys import HostKey, KnownKeys, parse

ONE = Guest(uri="qemu:///system", uuid="11111111-0000-0000-0000-000000000000", name="db one")
TWO = Guest(uri="qemu:///system", uuid="22222222-0000-0000-0000-000000000000", name="copy")


def keys_of(guest: Guest, folder: Path) -> KnownKeys:
    run: Any = SimpleNamespace(folder=folder)
    return KnownKeys(guest, run)


def keys(*texts: str) -> list[HostKey]:
    return parse("".join(f"ssh-ed25519 {text}\n" for text in texts))


A, B = keys("AAAA"), keys("BBBB")


def test_a_login_at_a_guest_whose_key_another_guest_has_too_is_refused_for_both(tmp_path: Path) -> None:
    keys_of(ONE, tmp_path).write(A)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(TWO, tmp_path).write(A)
    for guest, other in ((ONE, TWO), (TWO, ONE)):
        with pytest.raises(ShellRefused, match=f"host key of {guest.name} is that of {other.name}, too") as caught:
            keys_of(guest, tmp_path).verify(A[0])
        assert "ssh-keygen -A" in caught.value.remedy
        assert str(tmp_path / f"{other.uuid}.pub") in caught.value.remedy
    keys_of(TWO, tmp_path).write(B)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(TWO, tmp_path).verify(B[0])


def test_a_guest_that_shows_the_key_of_another_is_told_with_both_names(tmp_path: Path) -> None:
    keys_of(ONE, tmp_path).write(A)
    for known in ([], B):
        if known:
            keys_of(TWO, tmp_path).write(known)
        with pytest.raises(ShellRefused, match="host key of copy is that of db one, too"):
            keys_of(TWO, tmp_path).verify(A[0])


def test_a_key_that_another_guest_has_is_not_learnt(tmp_path: Path) -> None:
    keys_of(ONE, tmp_path).admit(A)  # nobody is enrolled
    keys_of(ONE, tmp_path).write(A)
    keys_of(ONE, tmp_path).admit(A)
    keys_of(TWO, tmp_path).admit(B)
    with pytest.raises(LastcallError, match="its host key is that of db one, too") as caught:
        keys_of(TWO, tmp_path).admit([*B, *A])
    assert "copy or db one" in caught.value.remedy


def test_of_guests_that_are_enrolled_at_once_and_share_a_key_none_is_the_first() -> None:
    three = Guest(uri="qemu:///system", uuid="33333333-0000-0000-0000-000000000000", name="three")
    gone = LastcallError("no agent")
    apart = commands.apart({ONE: [*A, *B], TWO: A, three: keys("CCCC"), Guest(uri="u", uuid="4", name="four"): gone})
    first, second, third, fourth = apart.values()
    assert isinstance(first, LastcallError)
    assert "that of copy" in str(first)
    assert isinstance(second, LastcallError)
    assert "that of db one" in str(second)
    assert third == keys("CCCC")
    assert fourth is gone


def test_a_file_that_is_no_text_and_a_name_with_a_line_end_harm_nobody(tmp_path: Path) -> None:
    odd = Guest(uri="u", uuid="44444444", name="a\nssh-ed25519 BBBB")
    keys_of(odd, tmp_path).write(A)
    assert keys_of(odd, tmp_path).read() == A
    (tmp_path / "55555555.pub").write_bytes(b"\xff\xfe\n")
    keys_of(TWO, tmp_path).admit(B)
    with pytest.raises(LastcallError, match=r"a\\nssh-ed25519 BBBB"):
        keys_of(TWO, tmp_path).admit(A)


def test_keys_that_cannot_be_written_are_told_and_exit_code_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{ONE.uuid}.new").mkdir()

    def no_shell(*_: object, **__: object) -> Any:
        raise ShellError("none")

    shown = {"buf-b64": base64.b64encode(b"ssh-ed25519 AAAA\n").decode()}
    domain = SimpleNamespace(agent_connected=lambda: True, agent=lambda *_, **__: shown)  # pyright: ignore[reportUnknownLambdaType]
    run: Any = SimpleNamespace(folder=tmp_path, domain=lambda _: domain, shell=no_shell)  # pyright: ignore[reportUnknownLambdaType]

    def rehearse(_plugin: str, _names: object, work: Any) -> list[tuple[Guest, Any]]:
        try:
            return [(ONE, work(ONE, run))]
        except OSError as error:
            return [(ONE, LastcallError(str(error)))]

    monkeypatch.setattr(commands, "rehearse", rehearse)
    done = CliRunner().invoke(commands.ssh, ["enroll", "db one"], standalone_mode=False)
    assert done.return_value == 4
    assert "✗ db one: its keys were not kept: " in done.stderr
    assert f"{tmp_path}/{ONE.uuid}.new" in done.stderr

"""A host key is one guest's: another guest with the same is refused, with both their names and what to do."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko  # noqa: TID253  to hash a host's name
import pytest
from click.testing import CliRunner

from lastcall import Guest, LastcallError, ShellError, ShellRefused
from lastcall_plugins.ssh import commands
from lastcall_plugins.ssh.hostkeys import HostKey, KnownKeys, keys_of_host, parse

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
        assert str(tmp_path / f"{other.file_name}.pub") in caught.value.remedy
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


def test_keys_that_cannot_be_written_are_told_and_exit_code_4(tmp_path: Path) -> None:
    def no_shell(*_: object, **__: object) -> Any:
        raise ShellError("none")

    shown = {"buf-b64": base64.b64encode(b"ssh-ed25519 AAAA\n").decode()}
    domain = SimpleNamespace(agent_connected=lambda: True, agent=lambda *_, **__: shown)  # pyright: ignore[reportUnknownLambdaType]
    run: Any = SimpleNamespace(folder=tmp_path / "gone", domain=lambda _: domain, shell=no_shell)  # pyright: ignore[reportUnknownLambdaType]

    def each_guest(_names: object, work: Any) -> list[tuple[Guest, Any]]:
        try:
            return [(ONE, work(ONE, run))]
        except LastcallError as error:
            return [(ONE, error)]

    command_line = SimpleNamespace(each_guest=each_guest)
    done = CliRunner().invoke(commands.ssh, ["enroll", "db one"], standalone_mode=False, obj=command_line)
    assert done.return_value == 4
    assert "✗ db one: " in done.output
    assert f"{tmp_path}/gone/{ONE.file_name}.pub cannot be written" in done.output


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "a link that leads in a circle": lambda path: path.symlink_to(path),
    "no text": lambda path: path.write_bytes(b"ssh-ed25519 \xff\n"),
    "larger than": lambda path: path.write_bytes(b"x" * (2 << 20)),
}


@pytest.mark.parametrize("odd", ODD_FILES)
def test_an_odd_file_among_the_keys_costs_the_guest_whose_it_is_and_no_other(tmp_path: Path, odd: str) -> None:
    keys_of(ONE, tmp_path).write(A)
    file = tmp_path / f"{TWO.file_name}.pub"
    ODD_FILES[odd](file)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(Guest(uri="u", uuid="4", name="four"), tmp_path).admit(B)
    with pytest.raises(ShellRefused, match=odd) as caught:
        keys_of(TWO, tmp_path).verify(B[0])
    assert str(file) in str(caught.value)
    assert caught.value.remedy.endswith("; then lastcall ssh enroll copy")
    assert str(file) in caught.value.remedy


def test_guests_of_two_daemons_with_one_uuid_have_host_keys_of_their_own(tmp_path: Path) -> None:
    elsewhere = Guest(uri="qemu+ssh://other/system", uuid=ONE.uuid, name="db one")
    keys_of(elsewhere, tmp_path).write(B)
    with pytest.raises(ShellRefused, match="is that of db one, too") as caught:
        keys_of(ONE, tmp_path).verify(B[0])
    assert "db one (qemu+ssh://other/system)" in caught.value.remedy
    keys_of(ONE, tmp_path).write(A)
    keys_of(ONE, tmp_path).verify(A[0])
    keys_of(elsewhere, tmp_path).verify(B[0])


def test_the_keys_of_jump_hosts_are_those_of_lines_that_name_them_as_they_are_or_hashed(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    hashed = paramiko.HostKeys.hash_host("[gate]:2222")
    lines = [
        "# a comment", "gate,192.0.2.1 ssh-ed25519 AAAA", f"{hashed} ssh-ed25519 BBBB", "@revoked gate ssh-rsa CCCC",
        "gate", "|1|x|y ssh-rsa DDDD", "gateway ssh-rsa EEEE",
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    assert keys_of_host(file, "gate") == keys_of_host(file, "192.0.2.1") == A
    assert keys_of_host(file, "[gate]:2222") == B
    assert keys_of_host(file, "other") == []


@pytest.mark.parametrize("odd", [odd for odd in ODD_FILES if odd != "larger than"])
def test_an_odd_file_of_known_hosts_is_told_with_its_remedy(tmp_path: Path, odd: str) -> None:
    ODD_FILES[odd](tmp_path / "known_hosts")
    with pytest.raises(ShellRefused, match=f"jump host gate is not known: .*{odd}") as caught:
        keys_of_host(tmp_path / "known_hosts", "gate")
    assert str(tmp_path / "known_hosts") in caught.value.remedy

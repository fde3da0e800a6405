"""A secret never prints itself, and what others say of one that was read is told without it."""

import base64
import copy
import hashlib
import json
import pickle
import shlex
from collections.abc import Callable

import pytest

from lastcall import SecretText, masked
from lastcall.formats import secret_text
from lastcall.formats.json_text import to_json
from lastcall.formats.plain_values import plain_evidence
from lastcall.formats.secret_text import MASK
from lastcall.formats.visible_text import visible

PASSWORDS = [
    "hunter2hunter2", "nul\0inside-it", "two\nlines of it", "it's \"quoted\" \\ $(here)",
    "lone \udcff surrogate \ud800", "postgres", "abcd", "x" * 100_000 + "end",
    "ümläut ☃ password", "tab\tand\x1b[31mred", "  blanks   around  ",
    "'''", "100%/of?it&all",
]  # fmt: skip
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "as Python shows it": repr,
    "in a list": lambda text: repr([text]),
    "shown twice": lambda text: repr(repr(text)),
    "as JSON": json.dumps,
    "as JSON with its characters": lambda text: json.dumps(text, ensure_ascii=False),
    "quoted for a shell": shlex.quote,
    "made visible": visible,
    "with its blanks made one": lambda text: " ".join(text.split()),
    "as bytes": lambda text: repr(text.encode("utf-8", "surrogatepass")),
    "in base64": lambda text: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode(),
    "without its NULs": lambda text: text.replace("\0", ""),
}


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(secret_text, "_KNOWN", secret_text.KnownSecrets())


def names(passwords: list[str]) -> list[str]:
    return [repr(text[:20]) for text in passwords]


@pytest.mark.parametrize("password", PASSWORDS, ids=names(PASSWORDS))
@pytest.mark.parametrize("form", FORMS)
def test_no_message_has_a_secret_that_was_read_in_whatever_form_it_comes_back(password: str, form: str) -> None:
    told = FORMS[form](password)
    SecretText(password)
    said = masked(f"client: cannot log in with {told}: no such user")
    if len(password.strip("'")) >= 4:
        assert told.strip("\"'") not in said
        assert MASK in said
    assert said.startswith("client: cannot log in with ")
    assert said.endswith(": no such user")


@pytest.mark.parametrize("kept", [40, 4000, 99_999])
def test_the_beginning_of_one_that_was_cut_off_is_not_told_either(kept: int) -> None:
    password = "".join(f"part {number}/" for number in range(20_000))
    SecretText(password)
    said = masked(f"sent {password[:kept]}… and {password[:kept]}; then")
    assert said == f"sent {MASK}… and {MASK}; then"


def test_each_line_of_a_key_is_a_secret_and_its_frame_is_none() -> None:
    lines = [base64.b64encode(hashlib.sha384(bytes([number])).digest()).decode() for number in range(5)]
    SecretText("\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----"]))
    for line in lines:
        assert masked(f"bad line: {line}") == f"bad line: {MASK}"
    assert masked("-----BEGIN OPENSSH PRIVATE KEY----- is missing") == "-----BEGIN OPENSSH PRIVATE KEY----- is missing"


def test_one_that_is_so_short_that_it_stands_in_every_word_is_left_to_its_type() -> None:
    for text in ("", "a", "abc"):
        assert masked(f"an abc of {SecretText(text)}") == f"an abc of {MASK}"


SHOWN: list[Callable[[object], str]] = [
    str, repr, format, lambda secret: f"{secret}", lambda secret: "%s" % secret, lambda secret: repr({"p": [secret]}),  # noqa: UP031
    lambda secret: to_json({"p": secret}), lambda secret: str(plain_evidence({"p": secret})),
    lambda secret: repr(ValueError(secret)),
]  # fmt: skip


@pytest.mark.parametrize("show", SHOWN, ids=range(len(SHOWN)))
def test_a_secret_shows_itself_to_nobody_but_who_asks_for_it(show: Callable[[object], str]) -> None:
    secret = SecretText("hunter2hunter2")
    assert "hunter2" not in show(secret)
    assert secret.reveal() == "hunter2hunter2"


def test_a_secret_is_neither_copied_nor_written() -> None:
    for work in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written"):
            work(SecretText("hunter2hunter2"))


def test_text_without_a_secret_stays_as_it_is_and_many_of_them_cost_little() -> None:
    for number in range(50):
        SecretText(f"password number {number} of the whole house")
    text = "a line of output that says nothing. " * 1000
    assert masked(text) == text
    assert masked("abcd" * 100_000) == "abcd" * 100_000
    SecretText("abcd")
    assert masked("abcd" * 100_000) == MASK * 100_000

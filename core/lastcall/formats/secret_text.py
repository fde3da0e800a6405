"""Secrets as values that never show themselves, and the door at which messages lose those that were read.

Two lines, as either may be crossed: a `SecretText` is no text, so that nothing prints it by accident; and what was
revealed to a client, a server or a library comes back in what those say, so that all messages go through `masked`.
"""

import threading
from collections.abc import Iterable

MASK = "•••"
# A shorter one stands in every other word: masking those would make messages unreadable, and tell what it is.
SHORTEST = 4  # characters
_CUT = 16  # characters; those that are longer are known by their beginning, too, as messages are cut off somewhere
_LONGEST_HEAD = 32


class SecretText:
    """A secret: `reveal()` where it is handed on, and nowhere else. Whatever prints it prints dots."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _KNOWN.add(text)

    def reveal(self) -> str:
        """The secret itself."""
        return self._text

    def __repr__(self) -> str:
        return f"SecretText({MASK})"

    def __str__(self) -> str:
        return MASK

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


class KnownSecrets:
    """The secrets that this process has read, in every form in which they may come back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._whole: tuple[str, ...] = ()  # longest first, as one may be a part of another
        self._begun: dict[str, frozenset[str]] = {}  # how it begins, and how it may go on

    def add(self, secret: str) -> None:
        """Know one more; from any thread."""
        with self._lock:
            if secret in self._seen:
                return
            self._seen.add(secret)
            whole, begun = set(self._whole), dict(self._begun)
            for plain in _pieces(secret):
                forms = {form for form in _forms(plain) if len(form) >= SHORTEST and form != MASK}
                whole |= forms
                # Half of it tells who it is; less would be masked in texts that have nothing to do with it.
                at = min(len(plain) // 2, _LONGEST_HEAD)
                for form in forms if len(plain) >= _CUT and not plain.startswith("-----") else ():
                    begun[form[:at]] = begun.get(form[:at], frozenset()) | {form[at:]}
            self._whole, self._begun = tuple(sorted(whole, key=len, reverse=True)), begun

    def mask(self, text: str) -> str:
        """See `masked`."""
        for form in self._whole:
            if form in text:
                text = text.replace(form, MASK)
        for head, rests in self._begun.items():
            if head in text:
                text = _without(text, head, rests)
        return text


# Not of a run but of the process: a plugin's thread, a command without a run and the last words of a program that
# failed have no run to ask, and a secret that was read is one for all of them.
_KNOWN = KnownSecrets()


def masked(text: str) -> str:
    """The text without any secret that was read before, nor the beginning of one that was cut off."""
    return _KNOWN.mask(text)


def _without(text: str, head: str, rests: Iterable[str]) -> str:
    """Each place where it begins, as far as it goes on."""
    parts: list[str] = []
    at, found = 0, text.find(head)
    while found >= 0:
        parts += [text[at:found], MASK]
        at = found + len(head)
        at += max(_same(text, at, rest) for rest in rests)
        found = text.find(head, at)
    return "".join([*parts, text[at:]])


def _same(text: str, at: int, rest: str) -> int:
    """How many characters of the rest stand there."""
    low, high = 0, min(len(text) - at, len(rest))
    while low < high:  # by halves: one by one, a long secret in each line of a flood would take the loop's time
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text.startswith(rest[:middle], at) else (low, middle - 1)
    return low


def _pieces(secret: str) -> set[str]:
    """What of it may come back alone: a NUL ends a text for many a program, and messages are told line by line."""
    # The frame of a key is no secret.
    lines = {line.strip() for line in secret.replace("\0", "\n").splitlines() if not line.startswith("-----")}
    return {secret, secret.strip(), " ".join(secret.split()), secret.replace("\0", ""), *lines}


def _forms(plain: str) -> set[str]:
    """As it is, as Python, JSON, a shell, a URL and our own door show it, and in base64."""
    import base64  # here: most processes read no secret
    import json
    import shlex
    from urllib.parse import quote

    data, python = plain.encode("utf-8", "surrogatepass"), repr(plain)[1:-1]
    return {
        plain, python, repr(python)[1:-1], str(data)[2:-1], json.dumps(plain)[1:-1],
        json.dumps(plain, ensure_ascii=False)[1:-1], shlex.quote(plain).strip("'"), quote(data, safe=""),
        plain.encode("unicode_escape").decode(), plain.encode("utf-8", "backslashreplace").decode(),
        plain.encode("utf-8", "replace").decode(), base64.b64encode(data).decode().rstrip("="),
    }  # fmt: skip

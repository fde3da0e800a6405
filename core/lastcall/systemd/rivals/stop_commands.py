"""Whether a command line or a script stops guests: a look at its words, which runs nothing and follows nothing."""

import re
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise

_OF_LIBVIRT = frozenset({"shutdown", "destroy", "managedsave", "save", "dompmsuspend"})
_VERBS = {
    "qm": frozenset({"shutdown", "stop", "destroy", "suspend"}),
    "pct": frozenset({"shutdown", "stop", "destroy", "suspend"}),
    "xl": frozenset({"shutdown", "destroy", "save"}),
    "xm": frozenset({"shutdown", "destroy", "save"}),
}
# `virsh`, a variable or a function that is called like it (`$VIRSH`, `run_virsh`), and the tools of its family.
_TOOL = re.compile(r"\w*virsh\w*|virt-[\w-]+|qm|pct|xl|xm", re.IGNORECASE)
_WITH_VALUE = frozenset(
    {"-c", "--connect", "-d", "--debug", "-e", "--escape", "-k", "--keepalive-interval", "-K", "--keepalive-count",
     "-l", "--log"}
)  # fmt: skip
_SAYS = frozenset({"echo", "printf", "logger", "log", "print", "wall"})
# Where one statement ends; what stands before the next is kept, as a pipe may feed it.
_BORDER = re.compile(r"(\n|;|&&|\|\||\||&|\$\(|[()`])")
_CONTINUED = re.compile(r"\\\n|,[ \t]*\n")
_QUOTES = re.compile(r"[\"'\[\],]")
_LIBVIRT = re.compile(r"\blibvirt\b|\bSys::Virt\b")
_CALL = re.compile(
    r"\b\w*(?:dom|vm|guest|machine)\w*(?:\[[^]\n]*\])?(?:\.|->)"
    r"(shutdown|shutdownFlags|destroy|destroyFlags|managedSave|managed_save|save|saveFlags)\s*\(",
    re.IGNORECASE,
)


def find_stop(text: str) -> str | None:
    """What of it stops guests, such as `virsh shutdown`; None where nothing does."""
    code = _CONTINUED.sub(" ", "\n".join(map(_without_comment, text.splitlines())))
    pieces = _BORDER.split(code)
    statements = [_QUOTES.sub(" ", piece).split() for piece in pieces[::2]]
    called = _called(statements)
    for before, words in zip(["", *pieces[1::2]], statements, strict=True):
        # `echo virsh shutdown` is a word to somebody.
        if words and words[0] not in _SAYS and (found := _of_statement(words, statements, called, fed=before == "|")):
            return found
    if _LIBVIRT.search(code) and (call := _CALL.search(code)):
        return f"{call[1]}() of libvirt"
    return None


def _of_statement(words: list[str], statements: list[list[str]], called: Mapping[str, str], *, fed: bool) -> str | None:
    for index, word in enumerate(words):
        tool = _bare(word)
        if word.startswith("$"):
            tool = called.get(tool, tool)
        if _TOOL.fullmatch(tool) is None:
            continue
        verbs = _VERBS.get(tool.lower(), _OF_LIBVIRT)
        command, told_elsewhere = _command(words[index + 1 :])
        if command in verbs:
            return f"{tool} {command}"
        if told_elsewhere or (command is None and fed):
            # `virsh $action db`, `echo "shutdown db" | virsh`, `virsh <<EOF`: what it is stands somewhere else.
            named = chain(_assigned(statements), () if command else chain.from_iterable(statements))
            if verb := next((one for one in named if one in verbs), None):
                return f"{tool} {verb}"
    return None


def _called(statements: list[list[str]]) -> Mapping[str, str]:
    """The tools that variables stand for, whatever these are called: `V="virsh -c qemu:///system"`."""
    found: dict[str, str] = {}
    for statement in statements:
        for word, following in pairwise([*statement, ""]):
            name, sign, told = word.partition("=")
            tool = _bare(told or following)
            if sign and name.isidentifier() and _TOOL.fullmatch(tool):
                found[name] = tool
    return found


def _assigned(statements: list[list[str]]) -> Iterator[str]:
    """What variables are set to, as far as that is a word: `action=save`, `for action in shutdown destroy`."""
    for statement in statements:
        yield from statement[3:] if statement[:1] == ["for"] else ()
        for index, word in enumerate(statement):
            _, sign, told = word.partition("=")
            # Quotes have become spaces: what stood in them is the next word.
            yield from [told, *statement[index + 1 : index + 2]] if sign else ()


def _command(words: list[str]) -> tuple[str | None, bool]:
    """The first word that is neither an option nor a variable nor a URI; whether a variable or file may hold it."""
    told_elsewhere = False
    left = iter(words)
    for word in left:
        if word in _WITH_VALUE:
            next(left, None)
        elif word.startswith(("$", "<", "%")):
            told_elsewhere = True
        elif not word.startswith(("-", ">", "2>")) and "://" not in word and not word.isdigit():
            return word, told_elsewhere
    return None, told_elsewhere


def _bare(word: str) -> str:
    """A program's name without its folder, and a variable's without what makes it one."""
    return re.split(r"[/=]|:-", word.strip("${}@"))[-1].strip("${}@")


def _without_comment(line: str) -> str:
    for place in _comments(line):
        if not any(line.count(quote, 0, place) % 2 for quote in "\"'"):
            return line[:place]
    return line


def _comments(line: str) -> Iterator[int]:
    """Where one may begin."""
    return (found.start() for found in re.finditer(r"(?:^|(?<=[\s;]))#", line))

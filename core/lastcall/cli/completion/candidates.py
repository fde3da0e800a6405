"""What may come next on a command line, by a list of all commands that is made of them (`commands.json`)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lastcall.cli.completion import known_names
from lastcall.cli.completion.known_names import Names
from lastcall.cli.invocation import Invocation
from lastcall.config.paths import Places
from lastcall.formats.decoding import from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value

FILE = "file"
"""What is said where a file's name is wanted, which every shell knows better."""
_LARGEST = 1 << 20
_SOURCES: Mapping[str, Callable[[Places], Names]] = {
    "GUEST": known_names.guests, "ACTIVE": known_names.guests_to_stop, "LISTED": known_names.guests_to_restore,
    "RUN": known_names.runs,
}  # fmt: skip


@value(kw_only=True)
class NextWords:
    """What may come next, each with what is said of it. `files`: a file's name. `open`: a value follows at once.
    `foreign`: the words begin with a command that is none of ours, so that plugins have to be asked.
    """

    names: Mapping[str, str]
    files: bool = False
    open: bool = False
    foreign: bool = False


def candidates(words: Sequence[str], last: str) -> NextWords:
    """What may come after these words (without the program's name) that begins with `last`."""
    commands: dict[str, Any] = from_json(read_text(Path(__file__).with_name("commands.json"), _LARGEST))
    here, path, config, pending, given, only_arguments = commands[""], "", None, None, 0, False
    for word in words:
        if pending is not None:
            config = word if pending == "--config" else config
            pending = None
        elif word.startswith("-") and word != "-" and not only_arguments:
            only_arguments = word == "--"
            name, sign, _ = word.partition("=")
            pending = name if here["options"].get(name, {}).get("takes") is not None and not sign else None
        elif f"{path} {word}".strip() in commands and not given:
            path = f"{path} {word}".strip()
            here = commands[path]
        elif not path:
            return NextWords(names={}, foreign=True)
        else:
            given += 1
    if pending is not None:
        return _values(here["options"][pending]["takes"], config, last)
    if last.startswith("-") and not only_arguments:
        options = {name: one["help"] for name, one in here["options"].items()}
        return NextWords(names=_beginning(options, last))
    below = {name: commands[f"{path} {name}".strip()]["help"] for name in here["commands"]} if not given else {}
    found = _beginning(below, last)
    takes = here["arguments"][min(given, len(here["arguments"]) - 1)] if here["arguments"] else None
    if takes is None or (given >= len(here["arguments"]) and not here["many"]):
        # A plugin's command may begin so: nobody waits for plugins where one of ours does.
        return NextWords(names=found, foreign=not path and not found)
    more = _values(takes, config, last)
    return NextWords(names={**found, **more.names}, files=more.files, open=more.open)


def _values(takes: str | list[str], config: str | None, last: str) -> NextWords:
    """`takes`: what there is to choose from, or what kind of word it is."""
    if isinstance(takes, list):
        is_open = any(one.endswith("=") for one in takes)
        return NextWords(names=_beginning(dict.fromkeys(takes, ""), last), open=is_open)
    if takes == FILE:
        return NextWords(names={}, files=True)
    source = _SOURCES.get(takes)
    if source is None:
        return NextWords(names={})
    places = Invocation(config=Path(config) if config else None).places()
    return NextWords(names=_beginning(source(places), last))


def _beginning(names: Mapping[str, str], last: str) -> dict[str, str]:
    return {name: said for name, said in names.items() if name.startswith(last)}

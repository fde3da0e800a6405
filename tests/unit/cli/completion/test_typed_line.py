"""What bash has typed is taken apart as bash does it, and what is offered is one word for it, whatever is in a name."""

import subprocess

import pytest

from lastcall.cli.completion.typed_line import parse_line

NAMES = [
    "plain",
    "two words",
    "it's",
    'say "hi"',
    "a:b=c",
    "$HOME `x`",
    "~x",
    "back\\slash",
    "ü-数",
    "new\nline",
    "a*?[b]",
    "x;y|z&",
]
BEGUN = ["", "'", '"']


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quote", BEGUN)
def test_what_is_offered_for_the_whole_word_is_this_name_to_bash(name: str, quote: str) -> None:
    typed = parse_line(f"lastcall restore {quote}")
    assert (typed.words, typed.last, typed.quote) == (("lastcall", "restore"), "", quote)
    command = f"printf '%s\\0' {quote}{typed.reply(name)}{quote}"
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert told == f"{name}\0"


@pytest.mark.parametrize("name", NAMES)
def test_and_so_it_is_after_its_first_letters(name: str) -> None:
    for length in range(1, len(name)):
        begun = parse_line("lastcall restore ").reply(name[:length])
        if "\n" not in name[:length]:  # nobody types one
            line = f"lastcall restore {begun}"
            typed = parse_line(line)
            assert typed.last == name[:length]
            words = line[: len(line) - len(typed.kept)] + typed.reply(name)
            told = subprocess.run(["bash", "-c", f"set -- {words}; printf '%s' \"$3\""], capture_output=True, text=True)
            assert told.stdout == name, words


@pytest.mark.parametrize(
    ("line", "words", "last"),
    [
        ("", (), ""),
        ("lastcall", (), "lastcall"),
        ('lastcall  \'a b\' c\\ d "e\\"f\\g" ', ("lastcall", "a b", "c d", 'e"f\\g'), ""),
        ("lastcall '' x", ("lastcall", ""), "x"),
        ("lastcall db:1", ("lastcall",), "db:1"),
        ("lastcall trailing\\", ("lastcall",), "trailing"),
    ],
)
def test_words_are_those_of_the_shell(line: str, words: tuple[str, ...], last: str) -> None:
    typed = parse_line(line)
    assert (typed.words, typed.last) == (words, last)


def test_behind_a_colon_only_what_bash_takes_for_the_word_is_written_anew() -> None:
    assert parse_line("lastcall restore db:1").reply("db:12") == "12"
    assert parse_line("lastcall restore db\\:1").reply("db:12") == "db\\:12"
    assert parse_line("lastcall guest set x order=1").reply("order=12") == "12"

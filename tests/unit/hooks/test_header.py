"""The header of a drop-in: which runs it is meant for, and what becomes of one that is not understood."""

from pathlib import Path

import pytest

from lastcall import Reason
from lastcall.api.reasons import HOST_REASONS
from lastcall.hooks.occasions.header import LONGEST_START, read_header
from lastcall.hooks.occasions.occasions import Occasions

FILE = Path("/etc/lastcall/hooks.d/pre_shutdown/50-x")


def read(start: str | bytes, hook: str = "") -> tuple[Occasions, list[str]]:
    """What a file says, and the messages about it with their lines."""
    occasions, problems = read_header(start.encode() if isinstance(start, str) else start, FILE, hook)
    return occasions, [f"{problem.where}: {problem.message}" for problem in problems]


def runs_for(occasions: Occasions, hook: str = "pre_shutdown") -> set[Reason]:
    return {reason for reason in Reason if not occasions.refusal(hook, reason, rehearsal=False)}


UNDERSTOOD = [
    ("# lastcall: reasons=host", ("host",), False),
    ("# lastcall: rehearse", (), True),
    ("# lastcall: reasons=power,soft-reboot rehearse", ("power", "soft-reboot"), True),
    ("#lastcall:reasons = host , manual", ("host", "manual"), False),
    ("   ## LastCall : reasons=manual", ("manual",), False),
    ("# lastcall: rehearse\n# lastcall: reasons=boot", ("boot",), True),
    ("// lastcall: reasons=host", ("host",), False),
    ("-- lastcall: reasons=host", ("host",), False),
    (";; lastcall: reasons=host", ("host",), False),
    ("\n" * 8 + "# lastcall: reasons=host", ("host",), False),
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("text", "words", "rehearses"), UNDERSTOOD)
def test_a_header_is_understood_however_it_is_spaced_and_its_lines_end(
    text: str, words: tuple[str, ...], rehearses: bool, end: str
) -> None:
    written = f"#!/bin/sh\n{text}\necho hello\n".replace("\n", end)
    assert read(written) == (Occasions(words, rehearses), [])
    assert read(b"\xef\xbb\xbf" + written.encode()) == (Occasions(words, rehearses), [])


@pytest.mark.parametrize(
    "start",
    [
        "",
        "#!/bin/sh\necho lastcall: reasons=host\n",
        "#!/bin/sh\n# Runs at the last call, for whatever reason=host says.\n",
        "#!/bin/sh\n# lastcall rehearses this with LASTCALL_REHEARSAL=1\n",
        "#!/bin/sh\n" + "echo\n" * 20 + "cat <<EOF\n# lastcall: reasons=host\nEOF\n",
        b"\x7fELF\x02\x01\x01\0\0\0\n# lastcall: rehearse\n",
        b"#!/bin/sh\n\xff\xfe # \x80lastcall: rehearse\n",
        "#!/bin/sh\n# lastcall: rehearse\n".encode("utf-16"),
    ],
)
def test_what_is_no_header_says_nothing(start: str | bytes) -> None:
    assert read(start) == (Occasions((), rehearses=False), [])


NOT_UNDERSTOOD = [
    ("# lastcall: reasons=hots", "2: its header: no reason is called 'hots'; did you mean 'host'?"),
    ("# lastcall: reasons=Manual", "did you mean 'manual'?"),
    ("# lastcall: reasons=", "'reasons' lacks a reason"),
    ("# lastcall: reasons", "'reasons' lacks a reason"),
    ("# lastcall: reason=host", "unknown key 'reason'; did you mean 'reasons'?"),
    ("# lastcall: rehears", "unknown key 'rehears'; did you mean 'rehearse'?"),
    ("# lastcall: reasons: host", "unknown key 'reasons:'; did you mean 'reasons'?"),
    ("# lastcall:", "says nothing"),
    ("# lastcall reasons=host", "lacks its colon"),
    ("# lastcal: reasons=host", "should begin with `lastcall:`"),
    ("# last-call: rehearse", "should begin with `lastcall:`"),
    ("# a licence\n" * 12 + "# lastcall: reasons=manual", "14: its header: not among the first 10 lines"),
]


@pytest.mark.parametrize(("text", "message"), NOT_UNDERSTOOD)
def test_what_is_not_understood_is_said_and_runs_in_host_stops_and_neither_by_hand_nor_in_a_rehearsal(
    text: str, message: str
) -> None:
    occasions, said = read(f"#!/bin/sh\n{text}\nstop-everybody\n")
    assert runs_for(occasions) == HOST_REASONS
    assert occasions.refusal("pre_shutdown", Reason.POWEROFF, rehearsal=True)
    (line,) = said
    assert line.startswith(f"{FILE}:")
    assert message in line
    assert "counts as meant for host stops" in line


def test_a_word_that_is_misspelt_adds_host_stops_to_those_that_are_not() -> None:
    occasions, said = read("# lastcall: reasons=manual,powr rehearse\n")
    assert runs_for(occasions) == {Reason.MANUAL} | HOST_REASONS
    assert "'powr'; did you mean 'power'?" in said[0]
    occasions, said = read("# lastcall: reasons=manual timeout=5\n")
    assert runs_for(occasions) == {Reason.MANUAL}, "what it says of reasons is understood"
    assert "unknown key 'timeout'" in said[0]


def test_a_value_of_rehearse_is_said_and_it_is_in_no_rehearsal() -> None:
    occasions, said = read("# lastcall: rehearse=no\n")
    assert occasions == Occasions((), rehearses=False)
    assert "'rehearse' takes no value; until then it is in no rehearsal" in said[0]


@pytest.mark.parametrize(
    ("hook", "reasons"), [("pre_restore", "poweroff"), ("on_guest_started", "power,halt"), ("post_shutdown", "boot")]
)
def test_reasons_that_its_hook_is_never_fired_for_are_said_and_count_as_host(hook: str, reasons: str) -> None:
    occasions, said = read(f"# lastcall: reasons={reasons}\n", hook)
    assert runs_for(occasions, hook) >= HOST_REASONS
    assert f"{hook} is never fired for" in said[0]
    assert read("# lastcall: reasons=host\n", hook)[1] == [], "the boot after a host stop is meant as well"


def test_a_start_that_is_cut_off_is_judged_by_its_whole_lines() -> None:
    assert read(b"#" * LONGEST_START) == (Occasions((), rehearses=False), [])
    cut = ("#!/bin/sh\n# lastcall: reasons=host\n# lastcall: reasons=" + "m" * LONGEST_START)[:LONGEST_START]
    assert read(cut) == (Occasions(("host",), rehearses=False), [])


def test_of_a_header_of_nonsense_a_message_of_bounded_length_is_made() -> None:
    _, (line,) = read("# lastcall: " + "x " * 3000)
    assert len(line) < 1000

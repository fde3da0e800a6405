"""What docs/compatibility.md promises is what the code has, line by line."""

from book.promise import FILE, promised


def test_nothing_that_is_promised_goes_or_changes_unnoticed() -> None:
    written = FILE.read_text().splitlines()
    there = set(promised())
    gone = [line for line in written if line not in there]
    assert not gone, "somebody relies on it (docs/compatibility.md); is it really to go? `make promise`"


def test_what_is_added_is_promised_from_now_on() -> None:
    written = set(FILE.read_text().splitlines())
    added = [line for line in promised() if line not in written]
    assert not added, "`make promise` writes it down"


def test_every_kind_of_promise_has_its_lines() -> None:
    kinds = {line.partition(":")[0].partition(".")[0] for line in promised()}
    assert kinds == {"lastcall", "hook", "command", "exit code", "key", "variable"}

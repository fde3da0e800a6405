"""Whom names, globs and `--match` mean."""

import shlex
from pathlib import Path

import pytest

from lastcall import Guest, GuestState
from lastcall.api.matching import KEYS
from lastcall.config.guest_settings import Match
from lastcall.errors import UsageError
from lastcall.formats.visible_text import as_argument
from lastcall.persistence.waiting.entry import Entry
from lastcall.planning.selection import Criterion, Selection
from lastcall.testing.memory import FakeGuest, run_restore, run_shutdown
from support import by_name, waiting_guests

QEMU, LXC, FAR = "qemu:///system", "lxc:///system", "qemu+ssh://[2001:db8::1]/system"
GUESTS = [
    Guest(uri=uri, uuid=f"aaaaaaaa-0000-0000-0000-{number:012}", name=name, state=state)
    for number, (uri, name, state) in enumerate([
        (QEMU, "web-1", GuestState.RUNNING), (QEMU, "web-2", GuestState.PAUSED), (QEMU, "db", GuestState.RUNNING),
        (LXC, "web-1", GuestState.RUNNING), (LXC, "web*", GuestState.RUNNING), (FAR, "db[1]", GuestState.RUNNING),
    ])
]  # fmt: skip


def selection(*words: str) -> Selection:
    """As on the command line, where what has an equals sign stands behind `--match`."""
    return Selection(
        [word for word in words if "=" not in word], [Criterion.parse(word) for word in words if "=" in word]
    )


def chosen(*words: str) -> list[int]:
    """The numbers of those that are meant."""
    return [GUESTS.index(guest) for guest in selection(*words).active(GUESTS)]


def refused(*words: str, guests: list[Guest] = GUESTS) -> tuple[str, str]:
    """What is said, and the remedy."""
    with pytest.raises(UsageError) as caught:
        selection(*words).active(guests)
    return str(caught.value), caught.value.remedy


def test_names_uuids_and_globs_are_alternatives() -> None:
    assert chosen() == [0, 1, 2, 3, 4, 5]
    assert chosen("db", "web-*") == [0, 1, 2, 3]
    assert chosen("web-?", "web-1", "*-2") == [0, 1, 3]
    assert chosen("[!w]b") == [2]
    assert chosen("aaaaaaaa-0000-0000-0000-000000000001", "AAAAAAAA-0000-0000-0000-000000000002") == [1, 2]


def test_a_name_is_taken_as_it_is_written_before_it_is_a_glob() -> None:
    assert chosen("web*") == [4]
    assert chosen("web*", f"uri={QEMU}") == [0, 1], "there nobody has that name"
    assert chosen("db[1]") == [5]
    assert chosen("[d]b") == [2]


def test_criteria_narrow_down_alternatives_by_key_and_every_key_has_to_fit() -> None:
    assert chosen(f"uri={QEMU}") == [0, 1, 2]
    assert chosen("uri=lxc*", f"uri={FAR}") == [3, 4, 5]
    assert chosen(f"uri={QEMU}", "state=running") == [0, 2]
    assert chosen("web-1", "uri=lxc:*") == [3]
    assert chosen("name=web-*", "uuid=AAAAAAAA-0000-0000-0000-000000000001") == [1]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "wanted", [QEMU, FAR, "lxc:*", "LXC:*", "web*", "db[1]", "db", "running", "paused", GUESTS[1].uuid.upper()]
)
def test_a_criterion_means_what_the_key_means_in_a_rule(key: str, wanted: str) -> None:
    assert tuple(Match.model_fields) == KEYS
    if key != "state" or wanted in {"running", "paused"}:
        rule, criterion = Match.model_validate({key: wanted}), Criterion.parse(f"{key}={wanted}")
        assert list(map(rule.covers, GUESTS)) == list(map(criterion.covers, GUESTS))


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (["wbe-1"], "no active guest is called 'wbe-1'", "did you mean 'web-1'?"),
        (["WEB-2"], "no active guest is called 'WEB-2'", "did you mean 'web-2'?"),
        (["wbe-*"], "no active guest matches 'wbe-*'", "did you mean 'web-1'?"),
        (["*-22"], "no active guest matches '*-22'", "did you mean 'web-2'?"),
        (["mail*"], "no active guest matches 'mail*'", "`lastcall plan` lists them"),
        ([""], "no active guest is called ''", "`lastcall plan` lists them"),
        (["nobody", "dbb", "web-1"], "no active guest is called 'nobody'; no active guest is called 'dbb'", "'db'?"),
        (["uri=qemu:///sytem"], "no active guest matches 'uri=qemu:///sytem'", "did you mean 'qemu:///system'?"),
        (["db", "state=crashed"], "no active guest matches 'state=crashed'", "lists them"),
        (["uri=lxc*", "state=paused"], "no active guest matches 'uri=lxc*, state=paused'", "lists them"),
        (["db", "uri=lxc*"], "no active guest is called 'db' with uri=lxc*", "lists them"),
    ],
)  # fmt: skip
def test_whatever_fits_nobody_is_named_with_what_is_nearest(words: list[str], message: str, remedy: str) -> None:
    told = refused(*words)
    assert told[0] == message
    assert remedy in told[1]


def test_where_nobody_is_there_every_word_is_refused() -> None:
    for words in (["a"], ["*"], ["uri=*"]):
        assert refused(*words, guests=[])[0].startswith("no active guest ")
    assert selection().active([]) == []


def test_on_the_list_it_is_said_that_somebody_is_not_on_the_list() -> None:
    entries = [
        Entry(uri=one.uri, uuid=one.uuid, name=one.name, driver="QEMU", state=one.state, run="r", boot_id="b",
              since="2026-01-01T00:00:00+00:00", due=False)
        for one in GUESTS
    ]  # fmt: skip
    assert [entry.name for entry in selection("web-*", f"uri={QEMU}").listed(entries)] == ["web-1", "web-2"]
    assert [entry.name for entry in selection("state=paused").listed(entries)] == ["web-2"], "it was, at that time"
    with pytest.raises(UsageError, match="'wbe' is not on the list of guests to restore"):
        selection("wbe").listed(entries)
    with pytest.raises(UsageError, match="'mail\\*' matches nobody on the list") as caught:
        selection("mail*").listed(entries)
    assert caught.value.remedy == "`lastcall status` shows the list"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qemu:///system", "is not KEY=VALUE"),
        ("uri=", "is not KEY=VALUE"),
        ("ury=x", "no key is called 'ury' (keys are name, uuid, uri, state); did you mean 'uri'?"),
        ("foo=x", "no key is called 'foo' (keys are name, uuid, uri, state)"),
        (
            "state=pausd",
            "(states are running, paused, suspended, crashed, off, unknown); did you mean 'paused'?",
        ),
        ("state=bogus", "no state is called 'bogus' (states are running, paused, suspended, crashed, off, unknown)"),
    ],
)
def test_a_criterion_that_cannot_be_read_says_what_could(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as caught:
        Criterion.parse(text)
    assert message in str(caught.value)
    assert "  " not in str(caught.value)


def test_a_run_is_about_those_that_a_glob_covers_and_touches_nobody_where_another_covers_nobody(
    tmp_path: Path,
) -> None:
    guests = [FakeGuest("web-1"), FakeGuest("web-2"), FakeGuest("db")]
    with pytest.raises(UsageError, match="matches 'mail"):
        run_shutdown(tmp_path, guests, names=["web-*", "mail-*"])
    assert not any(guest.asked for guest in guests)
    report = run_shutdown(tmp_path, guests, names=["web-*"])
    assert [guest.name for guest in report.guests] == ["web-1", "web-2"]
    with pytest.raises(UsageError, match="is not on the list"):
        run_restore(tmp_path, guests, names=["web-*", "db"])
    assert waiting_guests(tmp_path) == ["web-1", "web-2"]
    assert [guest.name for guest in run_restore(tmp_path, guests, names=["*-2"]).guests] == ["web-2"]


def test_who_is_parked_is_started_by_a_glob_too(tmp_path: Path) -> None:
    guest = FakeGuest("web-1", starts_after=2)
    run_shutdown(tmp_path, [guest])
    run_restore(tmp_path, [guest], config="restore: {attempts: 1}")
    assert run_restore(tmp_path, [guest]).guests == ()
    assert by_name(run_restore(tmp_path, [guest], names=["web*"]), "web-1").outcome.value == "started"


def test_somebody_who_may_run_behind_a_connection_that_is_away_is_not_said_to_be_missing(tmp_path: Path) -> None:
    guests = [FakeGuest("near", uri="fake:///a"), FakeGuest("far", uri="fake:///b")]
    with pytest.raises(UsageError) as caught:
        run_shutdown(tmp_path, guests, names=["far"], dead=["fake:///b"])
    assert str(caught.value).startswith("no active guest is called 'far', as far as libvirt answered (fake:///b: ")


@pytest.mark.parametrize("name", ["mail", "a b c", "-dash", "it's", "$(id)", "--fresh"])
def test_what_is_to_be_typed_for_a_name_means_that_guest(name: str) -> None:
    guest = Guest(uri=QEMU, uuid="u", name=name, state=GuestState.RUNNING)
    words = shlex.split(as_argument(name))
    assert not words[0].startswith("-") or words[0] == "--match"
    meant = Selection([], [Criterion.parse(words[1])]) if words[0] == "--match" else Selection(words)
    assert list(meant.active([*GUESTS, guest])) == [guest]

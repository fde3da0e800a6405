"""What is there as lines for people: duty first, then who has to be looked after, then what is to be expected."""

from collections.abc import Iterator
from datetime import UTC, datetime

from lastcall.api.guests import GuestState, host_of
from lastcall.api.naming.guest_names import GuestNames
from lastcall.cli.status.facts import StatusFacts
from lastcall.cli.status.power import power_words
from lastcall.formats.layout.columns import FACT, NAME, REST, Cell, Row, in_columns, paragraph
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import Screen, Tone
from lastcall.formats.quantities import format_duration
from lastcall.formats.visible_text import as_argument
from lastcall.persistence.announcement import Announcement, NoticeBoard
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.fleet.held_lock import lock_words
from lastcall.persistence.fleet.maintenance import END
from lastcall.persistence.last_line import ASKED_BY
from lastcall.persistence.power.awaited_charge import ChargeNote
from lastcall.persistence.waiting.entry import Entry
from lastcall.report.drills.last_drill import drill_words
from lastcall.report.run_list import run_line

_UNSEEN = 3
_NO_SERVICE = "not on duty: guests are not stopped with this host"
_DAY = 86400.0


def status_lines(facts: StatusFacts, screen: Screen) -> Iterator[str]:
    """All of them."""
    yield from _duty(facts, screen)
    announced = NoticeBoard(facts.places.run).read()
    if announced:
        yield from paragraph(_announcement(announced), screen, tone=Tone.WARNING)
    if facts.power:
        yield from paragraph(f"power: {power_words(facts.power, screen)}", screen, tone=Tone.WARNING)
    yield from _among_hosts(facts, screen)
    if facts.reboots:
        yield from paragraph("this host reboots instead of powering off: the mains are back", screen, tone=Tone.WARNING)
    yield from _asleep(facts, screen)
    yield from _unseen(facts, screen)
    charge = ChargeNote(facts.places.run).read()
    if charge:
        yield from paragraph(f"the restore of this boot {charge}", screen, tone=Tone.WARNING)
    waits = list(_waiting(facts, screen))
    why = "" if facts.places.brings_back else ": restore.policy is none"
    yield from waits or [f"no guest waits to be restored{why}"]
    yield from in_columns(_what_is_there(facts), (FACT, REST), screen)


def _duty(facts: StatusFacts, screen: Screen) -> Iterator[str]:
    if facts.on_duty:
        yield screen.paint("on duty", Tone.GOOD)
    else:
        see = "" if facts.doubts else "; see `lastcall install`"
        yield from paragraph(f"{_NO_SERVICE}{see}", screen, tone=Tone.BAD)
    for doubt in facts.doubts:
        yield from paragraph(f"{doubt.where} {doubt.message}", screen, sign="!", tone=Tone.BAD)
        if doubt.remedy:
            yield from paragraph(doubt.remedy, screen, 2, sign="→")


def _announcement(announced: Announcement) -> str:
    left = announced.left()
    within = "" if left is None else f", over within {format_duration(round(left))}"
    return f"announced: the next host stop is for {announced.reason}{within}"


def _among_hosts(facts: StatusFacts, screen: Screen) -> Iterator[str]:
    """That its guests stay away, and that it holds the lock by which others do not reboot."""
    if facts.maintenance:
        yield from paragraph(f"{facts.maintenance.words}; {END}", screen, tone=Tone.WARNING)
    if facts.lock:
        yield from paragraph(lock_words(facts.lock), screen, tone=Tone.WARNING)


def _asleep(facts: StatusFacts, screen: Screen) -> Iterator[str]:
    """Whom a sleep of the host has left as they were for it: while it lasts, nobody asks."""
    called = GuestNames(facts.asleep)
    for how, done in (("pause", "paused"), ("save", "saved")):
        names = sorted((called.of(one) for one in facts.asleep if one.how == how), key=natural_key)
        if names:
            told = f"{done} for a sleep of this host that was cut off: {', '.join(names)}"
            yield from paragraph(told, screen, sign="!", tone=Tone.BAD)
    if facts.asleep:
        yield from paragraph("`lastcall sleep end` lets them go on", screen, 2, sign="→")


def _unseen(facts: StatusFacts, screen: Screen) -> Iterator[str]:
    for run in facts.unseen[:_UNSEEN]:
        yield from paragraph(run.line, screen, sign="!", tone=Tone.BAD)
    if len(facts.unseen) > _UNSEEN:
        yield from paragraph("and earlier runs like it", screen, sign="!", tone=Tone.BAD)
    if facts.unseen:
        remedy = f"`lastcall report {facts.unseen[0].run.id}` tells it; `lastcall report --ack` once it is seen"
        yield from paragraph(remedy, screen, 2, sign="→")


def _waiting(facts: StatusFacts, screen: Screen) -> Iterator[str]:
    for uri, why in facts.roll.silent.items():
        told = f"libvirt did not answer for {uri} ({why}): whether its guests are back is not known"
        yield from paragraph(told, screen, tone=Tone.WARNING)
    entries = sorted(facts.waiting, key=lambda entry: (entry.uri, natural_key(entry.name)))
    yield from in_columns([_row(entry, facts) for entry in entries], (NAME, FACT, FACT, REST), screen)


def _row(entry: Entry, facts: StatusFacts) -> Row:
    age = (datetime.now(UTC) - datetime.fromisoformat(entry.since)).total_seconds()
    # Where it is not here, it is not off for that: whether it runs over there a restore asks.
    how = "listed" if entry.guest.key not in facts.roll.off else "away" if entry.where else "off"
    since = f"{how} for {format_duration(max(0, age // 60 * 60))}"
    doubt = "perhaps " if entry.uri in facts.roll.silent and not entry.parked else ""
    by_virsh = "  (asked by virsh, as lastcall could not run)" if entry.run == ASKED_BY else ""
    tone = Tone.BAD if entry.parked else Tone.WARNING
    was = f"was {entry.state.value} on {entry.uri}{_place(entry)}"
    return Cell(entry.name, tone), was, since, f"{doubt}{_how(entry, facts)}{by_virsh}"


def _place(entry: Entry) -> str:
    """Where else it may be. Several are known only of a run that was cut off before it was over."""
    hosts = [host_of(uri) for uri in entry.where]
    if not hosts:
        return ""
    return f", moved to {hosts[0]}" if len(hosts) == 1 else f", may be at {' or '.join(hosts)}"


def _how(entry: Entry, facts: StatusFacts) -> str:
    state, by_hand = facts.state, f"by `lastcall restore {as_argument(entry.name)}`"
    if entry.bad_image:
        return f"parked: its saved image does not load; started without it {by_hand[:-1]} --fresh`"
    if entry.parked:
        return f"parked: started only {by_hand}"
    if facts.maintenance and facts.maintenance.concerns(entry):
        return "stays off until `lastcall maintenance end`"
    back = f"waits for {entry.waits_for}; restored " if entry.waits_for else ""
    if back:
        in_this_boot = entry.is_due_from(state.previous_boot) and state.boot == boot_id()
        return back + ("when that is there" if in_this_boot else by_hand)
    if entry.cause == "shed" and entry.boot_id == boot_id():
        return "was shed: comes back with the mains, or at the next boot"
    if entry.due and entry.boot_id == boot_id():
        return "waits to be restored at the next boot"
    if entry.is_due_from(state.previous_boot) and state.boot == boot_id() != state.restored_in:
        return "waits to be restored in this boot, as soon as libvirt answers"
    return f"waits to be restored {by_hand}"


def _what_is_there(facts: StatusFacts) -> Iterator[Row]:
    """Guests now, what was last, and what the next stop is like: a line each."""
    for uri in facts.places.connections:
        counts = facts.counts(uri)
        if counts is not None:
            yield "guests now", f"{_counted(counts)} on {uri}"
        elif uri in facts.census.silent:
            told = f"libvirt does not answer for {uri}: {facts.census.silent[uri]}"
            yield Cell("guests now", Tone.WARNING), told
    for index, run in enumerate(facts.last_runs):
        bad = (run.report.run.exit_code or not run.complete) and not run.under_way
        yield Cell("then" if index else "last run", Tone.BAD if bad else None), run_line(run)
    if facts.last_drill:
        good = facts.last_drill.complete and facts.last_drill.as_planned
        yield Cell("last drill", None if good else Tone.BAD), drill_words(facts.last_drill)
    yield _next_stop(facts)


def _counted(counts: dict[GuestState, int]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in counts.items()) or "none"


def _next_stop(facts: StatusFacts) -> Row:
    kept = facts.next_stop
    if kept is None:
        return "next stop", "not planned yet: `lastcall plan` tells how long it would take"
    planned = kept.forecast
    usual = "not known yet" if planned.usual is None else format_duration(round(planned.usual, 1))
    worst = format_duration(round(planned.worst, 1))
    limit = "" if planned.deadline is None else f" of {format_duration(planned.deadline)}"
    told = f"{planned.guests} guests: usually {usual}, at worst {worst}{limit}"
    if planned.guests == 1:
        told = told.replace("guests", "guest", 1)
    if planned.unknown and planned.usual is not None:
        told += f"; without {planned.unknown} that no run has stopped yet"
    if not planned.fits:
        told += "; the worst case does not fit"
    told += f"; planned {_ago(kept.age())}"
    if facts.outdated:
        told += f", and since then {facts.outdated}: `lastcall plan`"
    return Cell("next stop", Tone.WARNING if facts.outdated or not planned.fits else None), told


def _ago(seconds: float) -> str:
    """`3 days ago`, in the largest unit that there is one of."""
    for unit, length in (("day", _DAY), ("hour", 3600.0), ("minute", 60.0)):
        count = int(seconds // length)
        if count > 0:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"

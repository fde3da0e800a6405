"""A restore brings back whom it has to, once, and says so truly."""

from collections.abc import Iterator

from lastcall import Outcome
from simulation.evidence import restores_of, shutdown_of
from simulation.history import History

_BACK = {Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.UNREADY}


def nobody_is_started_who_was_off(history: History) -> Iterator[str]:
    """Who was off before the host stop was off on purpose."""
    shutdown = shutdown_of(history)
    for number, restore in enumerate(restores_of(history)):
        for key, fake in history.hypervisor.guests.items():
            guest = restore.guest(key)
            started = any(change.ended is None and change.by == "lastcall" for change in restore.changes(guest))
            if started and key not in restore.run.listed_before:
                yield f"{fake.name}: started, and was on no list"
            at_boot = history.stopped_host and number == 0
            if started and at_boot and shutdown and not shutdown.was_active(guest):
                yield f"{fake.name}: started at boot, and was off before the host stopped"


def a_restore_tells_the_truth(history: History) -> Iterator[str]:
    """Who is called back runs, and nobody is called resumed who had to boot."""
    for restore in restores_of(history):
        for guest, result in restore.results():
            if restore.is_fresh(guest) or restore.cut_off(guest.uri, restore.run.ended):
                continue
            ended = [change for change in restore.changes(guest) if change.ended]
            if result.outcome in _BACK and not restore.is_active(guest) and not ended:
                yield f"{guest.name}: reported {result.outcome.value}, and it is off"
            if result.outcome in _BACK and restore.has_crashed(guest):
                yield f"{guest.name}: reported {result.outcome.value}, and it has crashed"
            last = restore.last_change(guest)
            by_us = last is None or last.by == "lastcall"  # whom somebody else starts later failed all the same
            up = restore.is_active(guest) and not restore.has_crashed(guest)
            if result.outcome is Outcome.FAILED and up and not ended and by_us:
                yield f"{guest.name}: reported failed, and it runs"


def who_is_not_back_goes_on_waiting(history: History) -> Iterator[str]:
    """A restore that fails must be possible once more."""
    for restore in restores_of(history):
        told = {(result.uri, result.uuid): result.outcome for result in restore.report.guests}
        for key, entry in restore.run.listed_before.items():
            if told.get(key) not in _BACK and key not in restore.run.listed_after:
                yield f"{entry.name}: not back ({told.get(key)}), and does not wait any more"


def a_second_restore_has_nothing_to_do(history: History) -> Iterator[str]:
    """Started twice would be destroyed once."""
    restores = list(restores_of(history))
    if len(restores) < 2:
        return
    first, second = restores
    back = {(result.uri, result.uuid) for result in first.report.guests if result.outcome in _BACK}
    for guest, result in second.results():
        if guest.guest.key in back:
            yield f"{guest.name}: was back, and the second restore calls it {result.outcome.value}"


def parked_is_who_libvirt_refused(history: History) -> Iterator[str]:
    """A connection that was lost says nothing about a guest."""
    for restore in restores_of(history):
        for key, entry in restore.run.listed_after.items():
            if entry.parked and not restore.guest(key).start_refused:
                yield f"{entry.name}: parked, and libvirt never refused to start it"

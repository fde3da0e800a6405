"""What others do to guests and connections while a run goes on."""

import math
from collections.abc import Callable, Mapping, Sequence

from lastcall.api.guests import Ended, GuestState
from lastcall.hypervisor.ports import Condition
from simulation.guest import Job, SimulatedGuest
from simulation.hypervisor import SimulatedHypervisor
from simulation.world import Incident


def schedule(hypervisor: SimulatedHypervisor, incidents: Sequence[Incident]) -> None:
    """Let them happen, each at its time from now on, unless the host is down by then."""
    for incident in incidents:
        hypervisor.loop.call_later(incident.at, _happen, hypervisor, incident, hypervisor.boots)


def _happen(hypervisor: SimulatedHypervisor, incident: Incident, boots: int) -> None:
    if boots != hypervisor.boots:
        return
    if incident.what in {"lose", "hang"}:
        hypervisor.note(f"{incident.to}: {incident.what} for {incident.lasts:g} s")
        if incident.what == "hang":
            hypervisor.hang(incident.to, incident.lasts)
        else:
            hypervisor.lose(incident.to, back_after=None if incident.lasts > 80 else incident.lasts)
        return
    guest = hypervisor.population[incident.to]
    # Somebody who finds the guest off, or its domain busy, goes away again.
    if incident.what == "start":
        if not guest.active and not guest.gone:
            hypervisor.begin(guest)
    elif guest.active:
        hypervisor.note(f"somebody: {incident.what} {incident.to}")
        _TO_GUESTS[incident.what](hypervisor, guest, incident.lasts)


def _pause(_hypervisor: SimulatedHypervisor, guest: SimulatedGuest, _lasts: float) -> None:
    if guest.state is GuestState.RUNNING:
        guest.state, guest.held = GuestState.PAUSED, Condition.FREE


def _unpause(_hypervisor: SimulatedHypervisor, guest: SimulatedGuest, _lasts: float) -> None:
    if guest.state is GuestState.PAUSED:
        guest.state, guest.held = GuestState.RUNNING, Condition.FREE


def _fail_to_write(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, _lasts: float) -> None:
    if guest.state is GuestState.RUNNING:
        guest.state, guest.held = GuestState.PAUSED, Condition.IO_ERROR
        guest.hopeless.append(hypervisor.loop.time())


def _keep_busy(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, what: str, lasts: float) -> None:
    """Hold the domain's job for a while; returns without a word where somebody else has it."""
    if guest.job or (what == "save" and not guest.persistent):
        return
    job = guest.job = Job(what, "somebody")
    hypervisor.loop.call_later(lasts, _finish, hypervisor, guest, job, guest.life)


def _finish(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, job: Job, life: int) -> None:
    if guest.job is not job or guest.life != life:
        return
    if job.what in {"dump", "backup"}:
        guest.job = None
    else:
        hypervisor.end(guest, Ended.SAVED if job.what == "save" else Ended.MIGRATED, "somebody")


def _save(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, lasts: float) -> None:
    _keep_busy(hypervisor, guest, "save", lasts)


def _migrate(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, lasts: float) -> None:
    _keep_busy(hypervisor, guest, "migrate", lasts)


def _dump(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, lasts: float) -> None:
    _keep_busy(hypervisor, guest, "dump", lasts)


def _back_up(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, lasts: float) -> None:
    _keep_busy(hypervisor, guest, "backup", lasts)


def _destroy(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, _lasts: float) -> None:
    hypervisor.end(guest, Ended.DESTROYED, "somebody")


def _shut_down(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, _lasts: float) -> None:
    if guest.state is GuestState.RUNNING:
        hypervisor.end(guest, Ended.SHUTDOWN, "itself")


def _crash(hypervisor: SimulatedHypervisor, guest: SimulatedGuest, lasts: float) -> None:
    # on_crash: preserve, or destroy.
    if lasts > math.e:
        hypervisor.crash(guest)
    else:
        hypervisor.end(guest, Ended.CRASHED, "itself")


_TO_GUESTS: Mapping[str, Callable[[SimulatedHypervisor, SimulatedGuest, float], None]] = {
    "pause": _pause,
    "unpause": _unpause,
    "i/o error": _fail_to_write,
    "save": _save,
    "migrate": _migrate,
    "dump": _dump,
    "backup": _back_up,
    "destroy": _destroy,
    "shutdown": _shut_down,
    "crash": _crash,
}

"""Who of those that went off runs by now: libvirt is asked, for a moment, before anybody is said to be missing."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from lastcall.api.guests import GuestState, Key
from lastcall.errors import in_words
from lastcall.formats.values import value
from lastcall.threads.answers import Raised, Returned, outcome_of

PATIENCE = 4.0  # seconds for all connections; libvirt answers in milliseconds, one behind SSH in a second
# What runs in libvirt's driver inside a process runs there alone: asked from here, another world would answer.
_IN_PROCESS = "test://"
AnswerT = TypeVar("AnswerT")


@value
class RollCall:
    """What came of it, by libvirt's word: who is `back`, who is `off`. `silent`: who did not answer (URI), and why."""

    back: frozenset[Key]
    off: frozenset[Key]
    silent: Mapping[str, str]


@value
class Census:
    """Every guest by its connection and UUID, and what it does. `silent`: who did not answer (URI), and why."""

    guests: Mapping[str, Mapping[str, GuestState]]
    silent: Mapping[str, str]

    @property
    def active(self) -> frozenset[Key]:
        """Those that are not off."""
        return frozenset(
            (uri, uuid) for uri, found in self.guests.items() for uuid, state in found.items()
            if state is not GuestState.OFF
        )  # fmt: skip


def _ask_who_is_active(uri: str) -> Collection[str]:
    # Not at the top: where nobody is missing nobody asks, and most of what `status` costs would be libvirt.
    from lastcall.hypervisor.bare_connection import ask_for_active

    return ask_for_active(uri)


def _ask_for_states(uri: str) -> Mapping[str, GuestState]:
    from lastcall.hypervisor.bare_connection import ask_for_states

    return ask_for_states(uri)


def _ask_for_names(uri: str) -> Collection[str]:
    from lastcall.hypervisor import bare_connection

    return bare_connection.ask_for_names(uri)


def call_roll(
    guests: Iterable[Key], seconds: float = PATIENCE, ask: Callable[[str], Collection[str]] = _ask_who_is_active
) -> RollCall:
    """Ask every connection of these guests for those that are active, all at once and for so many seconds at most."""
    called = list(guests)
    active, silent = _ask_all({uri for uri, _ in called}, seconds, ask)
    return _roll(called, active, silent)


def take_census(
    uris: Iterable[str], seconds: float = PATIENCE, ask: Callable[[str], Mapping[str, GuestState]] = _ask_for_states
) -> Census:
    """Ask every connection for all of its guests, all at once and for so many seconds at most."""
    return Census(*_ask_all(uris, seconds, ask))


def call_names(uris: Iterable[str], seconds: float) -> tuple[dict[str, Collection[str]], dict[str, str]]:
    """The names of the active guests of every connection that answers in time, and why one does not."""
    return _ask_all(uris, seconds, _ask_for_names)


def roll_in(census: Census, guests: Iterable[Key]) -> RollCall:
    """The roll call of these guests, by what was seen of all."""
    active = {uri: {uuid for key, uuid in census.active if key == uri} for uri in census.guests}
    return _roll(list(guests), active, census.silent)


def _roll(guests: list[Key], active: Mapping[str, Collection[str]], silent: Mapping[str, str]) -> RollCall:
    back = frozenset(key for key in guests if key[1] in active.get(key[0], ()))
    off = frozenset(key for key in guests if key[0] in active and key not in back)
    uris = {uri for uri, _ in guests}
    return RollCall(back, off, {uri: why for uri, why in silent.items() if uri in uris})


def _ask_all(
    uris: Iterable[str], seconds: float, ask: Callable[[str], AnswerT]
) -> tuple[dict[str, AnswerT], dict[str, str]]:
    """What each has said, and why one has not; of those that others than this process know."""
    asked = sorted({uri for uri in uris if not uri.startswith(_IN_PROCESS)})
    answers = _answers({uri: partial(ask, uri) for uri in asked}, seconds)
    told = {uri: answer.value for uri, answer in answers.items() if isinstance(answer, Returned)}
    silent = dict.fromkeys(asked, f"no answer within {seconds:.3g} s") | {
        uri: in_words(answer.error) for uri, answer in answers.items() if isinstance(answer, Raised)
    }
    return told, {uri: why for uri, why in silent.items() if uri not in told}


def _answers(questions: Mapping[str, Callable[[], AnswerT]], seconds: float) -> dict[str, Returned[AnswerT] | Raised]:
    """What came in time. A thread each, which is left to itself where a daemon hangs: no call to libvirt has an end."""
    until = time.monotonic() + seconds
    arrived: SimpleQueue[tuple[str, Returned[AnswerT] | Raised]] = SimpleQueue()
    for uri, question in questions.items():

        def answer(uri: str = uri, question: Callable[[], AnswerT] = question) -> None:
            arrived.put((uri, outcome_of(question)))

        with contextlib.suppress(RuntimeError):  # the system has no room for another thread: then there is no answer
            threading.Thread(target=answer, name="lastcall-roll-call", daemon=True).start()
    found: dict[str, Returned[AnswerT] | Raised] = {}
    with contextlib.suppress(Empty):
        while len(found) < len(questions):
            uri, outcome = arrived.get(timeout=max(0.0, until - time.monotonic()))
            found[uri] = outcome
    return found

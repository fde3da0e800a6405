"""Who of those that went off runs by now: libvirt is asked, for a moment, before anybody is said to be missing."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from queue import Empty, SimpleQueue

from lastcall.api.guests import Key
from lastcall.errors import in_words
from lastcall.formats.values import value
from lastcall.threads.answers import Raised, Returned, outcome_of

PATIENCE = 4.0  # seconds for all connections; libvirt answers in milliseconds, one behind SSH in a second
# What runs in libvirt's driver inside a process runs there alone: asked from here, another world would answer.
_IN_PROCESS = "test://"
_Answer = Returned[Collection[str]] | Raised


@value
class RollCall:
    """What came of it, by libvirt's word: who is `back`, who is `off`. `silent`: who did not answer (URI), and why."""

    back: frozenset[Key]
    off: frozenset[Key]
    silent: Mapping[str, str]


def _ask_libvirt(uri: str) -> Collection[str]:
    # Not at the top: where nobody is missing nobody asks, and most of what `status` costs would be libvirt.
    from lastcall.hypervisor.bare_connection import ask_for_active

    return ask_for_active(uri)


def call_roll(
    guests: Iterable[Key], seconds: float = PATIENCE, ask: Callable[[str], Collection[str]] = _ask_libvirt
) -> RollCall:
    """Ask every connection of these guests for those that are active, all at once and for so many seconds at most."""
    called = {key for key in guests if not key[0].startswith(_IN_PROCESS)}
    uris = sorted({uri for uri, _ in called})
    answers = _answers({uri: partial(ask, uri) for uri in uris}, seconds)
    active = {uri: answer.value for uri, answer in answers.items() if isinstance(answer, Returned)}
    silent = dict.fromkeys(uris, f"no answer within {seconds:.3g} s") | {
        uri: in_words(answer.error) for uri, answer in answers.items() if isinstance(answer, Raised)
    }
    back = frozenset(key for key in called if key[1] in active.get(key[0], ()))
    off = frozenset(key for key in called - back if key[0] in active)
    return RollCall(back, off, {uri: why for uri, why in silent.items() if uri not in active})


def _answers(questions: Mapping[str, Callable[[], Collection[str]]], seconds: float) -> dict[str, _Answer]:
    """What came in time. A thread each, which is left to itself where a daemon hangs: no call to libvirt has an end."""
    until = time.monotonic() + seconds
    arrived: SimpleQueue[tuple[str, _Answer]] = SimpleQueue()
    for uri, question in questions.items():

        def answer(uri: str = uri, question: Callable[[], Collection[str]] = question) -> None:
            arrived.put((uri, outcome_of(question)))

        with contextlib.suppress(RuntimeError):  # the system has no room for another thread: then there is no answer
            threading.Thread(target=answer, name="lastcall-roll-call", daemon=True).start()
    found: dict[str, _Answer] = {}
    with contextlib.suppress(Empty):
        while len(found) < len(questions):
            uri, outcome = arrived.get(timeout=max(0.0, until - time.monotonic()))
            found[uri] = outcome
    return found

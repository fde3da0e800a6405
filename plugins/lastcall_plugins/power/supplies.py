"""What the UPSes say now, all asked at once."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from lastcall import PowerWord, Supply
from lastcall_plugins.power.address import UpsAddress
from lastcall_plugins.power.upsd import NoAnswer, Upsd

TIME = 3.0  # seconds for one UPS
_LOST = "no answer in time"
ResultT = TypeVar("ResultT")


def ask_supplies(addresses: Sequence[UpsAddress], seconds: float) -> tuple[Supply, ...]:
    """Each UPS, in the order given; of one that does not answer, why. Returns within `seconds`; raises nothing."""
    limit = min(TIME, seconds)

    def silent(address: UpsAddress, why: str) -> Supply:
        return Supply(name=address.text, problem=why)

    return tuple(at_once(addresses, lambda address: _supply(address, limit), silent, limit))


def at_once(
    addresses: Sequence[UpsAddress],
    ask: Callable[[UpsAddress], ResultT],
    silent: Callable[[UpsAddress, str], ResultT],
    seconds: float,
) -> list[ResultT]:
    """Ask about all of them side by side; `silent` makes an answer of one that gives none, or not in time."""
    results: list[ResultT | None] = [None] * len(addresses)

    def work(index: int) -> None:
        try:
            results[index] = ask(addresses[index])
        except NoAnswer as error:
            results[index] = silent(addresses[index], str(error))

    # Threads that nobody waits for: a name that does not resolve may take half a minute.
    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(len(addresses))]
    ends = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return [silent(one, _LOST) if found is None else found for one, found in zip(addresses, results, strict=True)]


def _supply(address: UpsAddress, seconds: float) -> Supply:
    with Upsd(address, seconds) as upsd:
        status = upsd.variable("ups.status") or ""
        word = word_of_status(status)
        charge = upsd.number("battery.charge")
        return Supply(
            name=address.text,
            word=word,
            charge=charge if charge is not None and 0 <= charge <= 100 else None,
            runtime=upsd.number("battery.runtime"),
            problem="" if word else f"its status is {status[:60]!r}",
        )


def word_of_status(status: str) -> PowerWord | None:
    """What NUT's words for a status come to; None where they do not say what carries the host."""
    words = set(status.split())
    # Low alone is a battery that charges again; and one that calibrates itself is emptied on purpose, with the mains
    # there. upsmon powers off in neither case.
    if "FSD" in words:
        return PowerWord.LOW
    if "OB" in words and "CAL" not in words:
        return PowerWord.LOW if "LB" in words else PowerWord.BATTERY
    return PowerWord.LINE if words & {"OL", "CAL"} else None

"""Flushing all databases of a guest: one that fails does not keep the others from it."""

import time
from collections.abc import Iterable
from typing import Any

from lastcall import Guest, HookFailed, Json, LastcallError, Run, Shell
from lastcall_plugins.databases.detection import detect
from lastcall_plugins.databases.engine import Engine, Flush
from lastcall_plugins.databases.kinds import AUTO, ENGINES, OneOf


def flush_all(wanted: Iterable[OneOf], guest: Guest, run: Run) -> None:
    """Flush each, and stop it where that is wanted. Raises HookFailed, once all are through, for those that failed."""
    shell = run.shell(guest)
    failures: list[str] = []
    for label, engine, options in _each(wanted, shell):
        flush = Flush(guest, run, shell, options)
        began = time.monotonic()
        # One that fails does not keep the others from being flushed: the guest goes off in any case.
        failure = _flushed(engine, flush)
        run.evidence(**{label: _evidence(flush, failure, time.monotonic() - began)})
        if failure:
            failures.append(f"{label}: {failure}")
        else:
            run.log(f"{label}: flushed, proven")
    if failures:
        raise HookFailed("; ".join(failures))


def repair_all(wanted: Iterable[OneOf], guest: Guest, run: Run) -> None:
    """Put right in each what a killed run may have left. Raises HookFailed, once all are through, for what is not."""
    failures: list[str] = []
    for one in wanted:
        kind, options = one.chosen
        if kind != AUTO:
            try:
                ENGINES[kind].started(guest, run, options)
            except LastcallError as error:
                failures.append(f"{kind}: {_in_words(error)}")
    if failures:
        raise HookFailed("; ".join(failures))


def _each(wanted: Iterable[OneOf], shell: Shell) -> Iterable[tuple[str, Engine[Any], Any]]:
    """Label, engine and options of each; what `auto` finds is called like its kind, and what tells it from others."""
    used: set[str] = set()
    for one in wanted:
        kind, options = one.chosen
        found = [(kind, options)]
        if kind == AUTO:
            found = [(one.kind, ENGINES[one.kind].options(**one.options, stop=options.stop)) for one in detect(shell)]
        for name, chosen in found:
            label = str(getattr(chosen, "name", name))
            if label in used:
                label = f"{label} {getattr(chosen, 'port', None) or getattr(chosen, 'socket', None) or len(used)}"
            used.add(label)
            yield label, ENGINES[name], chosen


def _flushed(engine: Engine[Any], flush: Flush[Any]) -> str:
    """Flush, and stop where that is wanted and somebody means it; returns why it failed."""
    try:
        engine.flush(flush)
        if getattr(flush.options, "stop", False) and not flush.run.rehearsal:
            engine.stop(flush)
    except LastcallError as error:
        return _in_words(error)
    except (ArithmeticError, LookupError, ValueError) as error:  # a server's answer that nobody has thought of
        return f"its answer is malformed: {type(error).__name__}"
    return ""


def _in_words(error: LastcallError) -> str:
    return f"{error} → {error.remedy}" if error.remedy else str(error)


def _evidence(flush: Flush[Any], failure: str, seconds: float) -> Json:
    told: dict[str, Json] = {"before": flush.before, "after": flush.after, "proven": not failure}
    return {**told, "seconds": round(seconds, 2), **({"failure": failure} if failure else {})}

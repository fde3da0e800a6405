"""`lastcall check --brief`: one line and an exit code as Nagios, Icinga and their like want them of a plugin."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import IntEnum
from functools import partial

from lastcall.errors import ConfigDenied, ConfigInvalid, LastcallError, Problem, Severity
from lastcall.formats.bounded_text import bounded, said
from lastcall.formats.layout.screen import Screen
from lastcall.formats.secret_text import masked
from lastcall.formats.values import value
from lastcall.formats.visible_text import visible
from lastcall.report.problems.alike import alike_as_one

_SHOWN = 3
_LONGEST = 160  # characters of one problem; a line of a pager has not many more


class ServiceState(IntEnum):
    """What a monitoring system makes of an exit code. Ours for the same things are others."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@value
class CheckCounts:
    """What was found, how many guests run, and the `names` of all that there are."""

    problems: Sequence[Problem]
    guests: int
    names: Collection[str] = ()


def tell_briefly(look: Callable[[], CheckCounts]) -> int:
    """Look, print the line and return the exit code, whatever comes of it."""
    try:
        state, words, figures = _judged(look())
    except ConfigDenied as error:
        return tell_unknown(f"{error}; run as root")
    except ConfigInvalid as error:
        count = len(error.problems)
        told = f"the configuration is invalid, {_count(count, 'error')}: {_several(error.problems)}"
        state, words, figures = ServiceState.CRITICAL, told, ""
    except LastcallError as error:
        return tell_unknown(f"{error}; {error.remedy}" if error.remedy else str(error))
    except Exception as error:  # noqa: BLE001  a plugin that dies without a line says nothing of why
        import traceback

        sys.stderr.write(masked(traceback.format_exc()))
        return tell_unknown(f"internal error: {said(error)}; this is a bug")
    _print(state, words, figures)
    return state


def tell_unknown(why: str) -> int:
    """Print that nothing could be found out, and return that exit code."""
    _print(ServiceState.UNKNOWN, why)
    return ServiceState.UNKNOWN


def _judged(found: CheckCounts) -> tuple[ServiceState, str, str]:
    errors = [one for one in found.problems if one.severity is Severity.ERROR]
    warnings = [one for one in found.problems if one.severity is not Severity.ERROR]
    denied = [one for one in errors if one.what == "permission"]
    several = partial(_several, names=found.names)
    figures = f"errors={len(errors)};;0;0 warnings={len(warnings)};0;;0 guests={found.guests};;;0"
    # Of root it is a fault of the host, such as a disk that is mounted read-only.
    if denied and os.geteuid() != 0:
        return ServiceState.UNKNOWN, f"no permission, run as root: {several(denied)}", figures
    if errors:
        counts = _count(len(errors), "error") + (f", {_count(len(warnings), 'warning')}" if warnings else "")
        return ServiceState.CRITICAL, f"{counts}: {several(errors)}", figures
    if warnings:
        return ServiceState.WARNING, f"{_count(len(warnings), 'warning')}: {several(warnings)}", figures
    return ServiceState.OK, f"nothing wrong found, {_count(found.guests, 'active guest')}", figures


def _several(problems: Iterable[Problem], names: Collection[str] = ()) -> str:
    alike = alike_as_one(problems, names, Screen(width=_LONGEST // 2))
    told = [bounded(f"{one.where}: {one.message}", _LONGEST) for one in alike]
    more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print(state: ServiceState, words: str, figures: str = "") -> None:
    # A bar begins the figures: one in a guest's name would have the rest of the sentence read as such.
    plain = visible(masked(words)).replace("|", "¦")
    print(f"LASTCALL {state.name} - {plain}" + (f" | {figures}" if figures else ""), flush=True)

"""Functions that cannot be called as hooks are: plainly, and with their arguments by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from lastcall.formats.bounded_text import said
from lastcall.formats.nearest import did_you_mean

# What these return is read to its end; of all others nothing would ever be done.
_MAY_YIELD = frozenset(
    {
        "stop_methods",
        "guest_shells",
        "check",
        "check_guest",
        "guest_busy",
        "guest_waits",
        "post_check",
        "power_supplies",
    }
)
Mistake = tuple[str, str]
"""What is wrong, and what helps."""


def mistake_in(hook: str, function: Any, arguments: Mapping[str, frozenset[str]], *, wrapper: bool) -> Mistake | None:
    """Why a function is no implementation of the hook; `arguments` are those of every hook."""
    if hook not in arguments:
        remedy = "`lastcall plugins` lists the hooks; hookimpl(optionalhook=True) is for those of a later lastcall"
        return f"unknown hook{did_you_mean(hook, arguments)}", remedy
    # Implementations are called one by one, so a wrapper would stand around nothing.
    if wrapper:
        return "wrappers are not supported", "use tryfirst or trylast"
    # Called like functions these do nothing, and look like a success.
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is async", "write a plain function: hooks run in worker threads"
    if inspect.isgeneratorfunction(function) and hook not in _MAY_YIELD:
        return "is a generator: nothing in it would ever run", "write a plain function, without yield"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        return f"its arguments cannot be read: {said(error)}", "write a plain function"
    wrong = (_mistake_of(one, hook, arguments[hook]) for one in parameters)
    return next((mistake for mistake in wrong if mistake), None) or _unknown(list(parameters), hook, arguments[hook])


def _mistake_of(one: inspect.Parameter, hook: str, known: frozenset[str]) -> Mistake | None:
    given = f"arguments of {hook}: {', '.join(sorted(known)) or 'none'}"
    if one.kind is one.POSITIONAL_ONLY:
        return f"takes {one.name!r} by its position only", "remove the / : hooks are called with arguments by name"
    if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD}:
        return f"takes {one}, which would never get anything", f"name the arguments that it needs; {given}"
    if one.kind is one.KEYWORD_ONLY and (one.default is one.empty or one.name in known):
        return f"takes {one.name!r} by keyword only, as which it is never given", "remove the * before it"
    # What has a default is the function's own affair, for pluggy.
    if one.default is not one.empty and one.name in known:
        return f"gives {one.name!r} a default, and would never get anything else", "remove the default"
    return None


def _unknown(parameters: list[inspect.Parameter], hook: str, known: frozenset[str]) -> Mistake | None:
    taken = {one.name for one in parameters if one.default is one.empty}
    unknown = sorted(taken - known)
    if not unknown:
        return None
    return (
        f"unknown argument {', '.join(map(repr, unknown))}{did_you_mean(unknown[0], known - taken)}",
        f"arguments of {hook}: {', '.join(sorted(known)) or 'none'}",
    )

"""Arguments and answers of hook calls in a few words: who is meant, and never what somebody may have kept secret."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from lastcall.api.guests import Guest
from lastcall.api.results import Attempt, GuestResult, Report
from lastcall.api.run import PluginOptions, Run
from lastcall.errors import CallExpired
from lastcall.formats.bounded_text import bounded, kind_name, shown
from lastcall.formats.secret_text import masked
from lastcall.hooks.call import HookCall

WIDEST = 200  # characters of a value


def told_arguments(arguments: Mapping[str, object]) -> str:
    """`name=value` of each."""
    return ", ".join(f"{name}={_cut(_argument(given))}" for name, given in arguments.items())


def told_answer(hook: str, answer: object) -> str:
    """What a hook has answered, in the thread of the call: it may be the plugin's code that shows it."""
    try:
        return _cut(_answer(hook, answer))
    except Exception:  # noqa: BLE001  what cannot be shown is an answer all the same
        return f"<{kind_name(answer)}>"


def _argument(given: object) -> str:
    match given:
        case Guest():
            return given.name
        case HookCall():
            return _run(given)
        case GuestResult():
            return f"<{given.outcome}>"
        case Report():
            return f"<report of a {given.run.kind}>"
        case tuple():
            return f"({', '.join(map(_attempt, cast('Iterable[object]', given)))})"
        case int():
            return str(given)
        case _:
            return f"<{kind_name(given)}>"


def _run(run: Run) -> str:
    try:
        words = [run.kind.value, run.reason.value, *(["rehearsal"] if run.rehearsal else [])]
        return f"<{', '.join(words)}, {run.remaining():.1f} s>"
    except CallExpired:  # before it has begun
        return "<no time left>"


def _attempt(one: object) -> str:
    return f"{one.method} {one.result}" if isinstance(one, Attempt) else kind_name(one)


def _answer(hook: str, answer: Any) -> str:
    if isinstance(answer, PluginOptions):
        models = (("settings", answer.settings), ("guest", answer.guest))
        return ", ".join(f"{name}={model.__name__}" for name, model in models if model) or "no options"
    # What is set may be a password: of settings it is told which there are.
    if hook == "guest_settings" and answer is not None:
        return f"{{{', '.join(sorted(map(str, answer)))}}}"
    if hook in {"stop_methods", "guest_shells"} and answer:
        return f"[{', '.join(str(getattr(one, 'name', '?')) for one in answer)}]"
    return shown(answer)


def _cut(text: str) -> str:
    return bounded(masked(text), WIDEST)  # masked first: of half a secret nobody knows what it is

"""A hook call as a piece of work for a worker: with what it takes, and judged in the same time box."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from lastcall.api.guests import Guest
from lastcall.formats.bounded_text import bounded, shown
from lastcall.formats.plain_values import plain_evidence, plain_settings
from lastcall.hooks.call import HookCall
from lastcall.hooks.isolation.busy_reasons import first_reasons
from lastcall.hooks.isolation.judgement import judged
from lastcall.hooks.isolation.power_answers import first_supplies, plain_policy
from lastcall.hooks.registry import Implementation
from lastcall.hooks.tracing.onlooker import CallOnlooker
from lastcall.records.found_problems import first_problems
from lastcall.records.said_lines import CallLines
from lastcall.threads.own_code import Standpoint
from lastcall.threads.standard_output import Heard


def bound_call(
    one: Implementation,
    guest: Guest | None,
    call: HookCall,
    box: float,
    arguments: Mapping[str, Any],
    standpoint: Standpoint,
    said: CallLines,
    looked_at: CallOnlooker,
) -> Callable[[], Any]:
    """The call with the arguments it takes; what it returns or raises is consumed and judged inside the time box."""
    available = {**arguments, "run": call, **({"guest": guest} if guest else {})}
    # Only what it names: hooks may get further arguments, and plugins of today still fit.
    wanted = {name: available[name] for name in one.argnames}

    def work() -> Any:
        with standpoint, Heard(said.say):
            try:
                return _checked(one.hook, one.function(**wanted), call)
            except Exception as error:  # noqa: BLE001  whatever it is, its words are made here: that is the plugin's code
                raise judged(error, one.own, box) from None
            finally:
                call.release()

    return looked_at.watching(work, wanted)


def _checked(hook: str, answer: Any, call: HookCall) -> Any:
    if hook in {"check", "check_guest", "post_check"}:
        # Read here, inside the time box: a generator raises, or hangs, when it is consumed.
        return first_problems(answer or (), lambda: call.expired)
    if hook in {"guest_busy", "guest_waits"}:
        return first_reasons(answer)
    if hook == "power_policy":
        return plain_policy(answer)
    if hook == "power_supplies":
        return first_supplies(answer)
    if hook in {"describe_guest", "guest_settings"}:
        if answer is None or isinstance(answer, Mapping):
            facts = cast("Mapping[str, Any] | None", answer)
            if facts is None or hook == "describe_guest":
                return plain_evidence(facts)
            return plain_settings(facts)
    elif answer is None or (hook == "guest_ready" and isinstance(answer, bool)):
        return answer
    raise TypeError(f"returned {bounded(shown(answer))}")

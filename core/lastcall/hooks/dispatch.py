"""Calling implementations: one by one, each in its time box, none of them able to spoil another."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from lastcall.api.guests import Guest
from lastcall.api.results import HookRecord, Verdict
from lastcall.config.settings import HookSettings
from lastcall.errors import CallExpired, HookFailed, LastcallError, Skip, in_words, with_remedy
from lastcall.formats.bounded_text import bounded, kind_name, said, shown
from lastcall.formats.plain_values import plain_evidence, plain_settings
from lastcall.formats.secret_text import masked
from lastcall.hooks.call import HookCall, RunContext
from lastcall.hooks.occasions.passed_over import PassedOver
from lastcall.hooks.registry import Implementation
from lastcall.records.bounds import TRACE_LIMIT
from lastcall.records.found_problems import first_problems
from lastcall.records.records import HookBegun, HookEnded, HookSaid
from lastcall.records.said_lines import CallLines, SaidLines
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers
from lastcall.timing.budget import Share
from lastcall.timing.deadline import soonest

_GUEST_HOOKS = frozenset({"on_guest_stop", "on_guest_start", "guest_settings"})
_ASKED_AGAIN = "guest_ready"
_PRE_HOOKS = frozenset({"pre_shutdown", "pre_restore"})
_CHAIN = 4  # errors, each from the next, of which it is told where they were raised,
_FRAMES = 20  # and by how many calls
_CUT_OFF = "cut off: the run could not wait any longer"


@dataclass(slots=True, eq=False, repr=False)
class Fired:
    """What firing a hook brought: the answers that were given, by plugin, who failed, and what a failure asks for."""

    answers: list[tuple[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    verdict: Literal["go on", "skip_guest", "abort"] = "go on"
    because: str = ""


class Hooks(Protocol):
    """Fires hooks; the engine's view of the plugins."""

    def listens(self, hook: str, guest: Guest | None = None) -> bool:
        """Say whether any plugin implements the hook, for this guest."""
        ...

    def boxes(self, hook: str, guest: Guest | None = None, box: float | None = None) -> float:
        """The most that firing a hook may take, in seconds; `box` is the guest's own time box."""
        ...

    async def fire(
        self,
        hook: str,
        guest: Guest | None = None,
        *,
        until: float | None = None,
        share: Share | None = None,
        box: float | None = None,
        since: float | None = None,
        missed: bool = False,
        **arguments: Any,
    ) -> Fired:
        """Call every implementation that is meant for the run.

        `until` is the loop time at which no call may run any longer; `share` is that of a run which turns out meanwhile
        to have less time, and cuts them off. `box` is the guest's own time box in seconds, `since` the loop time of the
        first call of a series. `missed`: only those that were not meant for the run, and are for what it has become.
        """
        ...

    def refuse(self, hook: str, plugin: str, fired: Fired, why: str) -> None:
        """Count an answer as a failure of its plugin: it turned out to be of no use."""
        ...


class FiringOrder(Protocol):
    """Where implementations come from."""

    def implementations(self, hook: str) -> list[Implementation]:
        """The implementations in firing order."""
        ...


class Dispatcher:
    """Implements `Hooks` with workers."""

    def __init__(
        self,
        source: FiringOrder,
        settings: HookSettings,
        context: RunContext,
        workers: Workers,
        stream: Stream,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._source = source
        self._settings = settings
        self._context = context
        self._workers = workers
        self._stream = stream
        self._loop = loop
        self._lines = SaidLines(workers, loop)
        self._found: dict[str, list[Implementation]] = {}
        self._passed_over = PassedOver(context, stream)

    async def fire(
        self,
        hook: str,
        guest: Guest | None = None,
        *,
        until: float | None = None,
        share: Share | None = None,
        box: float | None = None,
        since: float | None = None,
        missed: bool = False,
        **arguments: Any,
    ) -> Fired:
        """Call every implementation in order; see `Hooks.fire`."""
        fired, one = Fired(), None
        try:
            async with self._bounded(share):
                for one in self._implementations(hook, guest):
                    if not self._passed_over.lets(one, guest, missed=missed):
                        continue
                    # One by one and not by a call of pluggy: there one implementation that raises skips all the others.
                    limit = self._box(one, until, box)
                    expires = self._loop.time() + limit
                    said = self._lines_of(one, guest)
                    call = HookCall(self._context, one.plugin, expires=expires, say=said.say, since=since)
                    await self._call(one, guest, fired, call, said, limit, arguments)
        except TimeoutError:  # those behind it are not called
            self._apply_policy(hook, one.plugin if one else "", fired, _CUT_OFF, None)
        return fired

    def _bounded(self, share: Share | None) -> AbstractAsyncContextManager[None]:
        return self._context.terms.bounded(share, once_changed=True) if share else contextlib.nullcontext()

    def refuse(self, hook: str, plugin: str, fired: Fired, why: str) -> None:
        """Count an answer as a failure; see `Hooks.refuse`."""
        self._apply_policy(hook, plugin, fired, why, None)

    def listens(self, hook: str, guest: Guest | None = None) -> bool:
        """Say whether any plugin implements the hook; see `Hooks.listens`."""
        return bool(self._implementations(hook, guest))

    def boxes(self, hook: str, guest: Guest | None = None, box: float | None = None) -> float:
        """The time boxes of all implementations together; see `Hooks.boxes`."""
        reason, ones = self._context.terms.reason, self._implementations(hook, guest)
        # `plan` is a rehearsal itself, and asks for the run that it is about.
        meant = (one for one in ones if not one.occasions.refusal(hook, reason, rehearsal=False))
        return sum(self._box(one, None, box) for one in meant)

    def _implementations(self, hook: str, guest: Guest | None = None) -> list[Implementation]:
        """In firing order; for a guest without those that have nothing to do with it."""
        if hook not in self._found:
            self._found[hook] = self._source.implementations(hook)
        found, concerns = self._found[hook], self._context.concerns
        return found if guest is None else [one for one in found if concerns(one.plugin, guest)]

    def _box(self, one: Implementation, until: float | None, guest_box: float | None) -> float:
        own = self._settings.plugins.get(one.plugin)
        box = (own.timeout if own else None) or guest_box or self._settings.timeout
        left = None if until is None else until - self._loop.time()
        return max(0.0, soonest(box, left) or 0.0)

    async def _call(
        self,
        one: Implementation,
        guest: Guest | None,
        fired: Fired,
        call: HookCall,
        said: CallLines,
        box: float,
        arguments: Mapping[str, Any],
    ) -> None:
        key = guest.key if guest else None
        started = self._stream.now()
        # Asked every second until a guest is ready: begun and ended for each would bury everything else in the run log.
        if one.hook != _ASKED_AGAIN:
            self._stream.emit(HookBegun(at=self._stream.now(), guest=key, hook=one.hook, plugin=one.plugin))
        verdict, message, trace, answer = Verdict.OK, "", "", None
        asked_for: str | None = None
        try:
            answer = await self._workers.call(_bound(one, guest, call, box, arguments), timeout=box)
            _require_in_time(call)
            if answer is not None:
                fired.answers.append((one.plugin, answer))
        except _Judged as judged:
            verdict, message, trace, asked_for = judged.verdict, judged.message, judged.trace, judged.asked_for
        except Exception as error:  # noqa: BLE001  an exit, or no answer in time
            judged = _judge(error, box)
            verdict, message, trace = judged.verdict, judged.message, judged.trace
        except asyncio.CancelledError:
            # Its time is over and the run goes on; that it was cut off still belongs in the report.
            verdict, message = Verdict.TIMEOUT, _CUT_OFF
            raise
        finally:
            call.expire()
            said.end()  # what a call says comes before its end
            record = HookRecord(
                hook=one.hook, plugin=one.plugin, result=verdict, started=started,
                duration=self._stream.since(started), message=message, evidence=dict(call.collected),
            )  # fmt: skip
            if one.hook != _ASKED_AGAIN or answer is not None or verdict is not Verdict.OK:  # no opinion, no record
                self._stream.emit(HookEnded(at=self._stream.now(), guest=key, record=record, traceback=trace))
        if verdict in {Verdict.FAILED, Verdict.TIMEOUT}:
            self._apply_policy(one.hook, one.plugin, fired, message, asked_for)

    def _apply_policy(self, hook: str, plugin: str, fired: Fired, message: str, asked_for: str | None) -> None:
        fired.failures.append((plugin, message))
        own = self._settings.plugins.get(plugin)
        policy = asked_for or (own.on_failure if own else None) or self._settings.on_failure
        if (policy == "skip_guest" and hook in _GUEST_HOOKS) or (policy == "abort" and hook in _PRE_HOOKS):
            fired.verdict = policy
            fired.because = f"{hook} of {plugin}: {message}"

    def _lines_of(self, one: Implementation, guest: Guest | None) -> CallLines:
        key = guest.key if guest else None

        def emit(line: str) -> None:
            self._stream.emit(HookSaid(at=self._stream.now(), guest=key, hook=one.hook, plugin=one.plugin, line=line))

        return self._lines.of_call(emit)


def _require_in_time(call: HookCall) -> None:
    """Raise TimeoutError for a call that came back in the very moment, having been told that it was too late."""
    if call.expired:
        raise TimeoutError


def _bound(
    one: Implementation, guest: Guest | None, call: HookCall, box: float, arguments: Mapping[str, Any]
) -> Callable[[], Any]:
    """The call with the arguments it takes; what it returns or raises is consumed and judged inside the time box."""
    available = {**arguments, "run": call, **({"guest": guest} if guest else {})}
    # Only what it names: hooks may get further arguments, and plugins of today still fit.
    wanted = {name: available[name] for name in one.argnames}

    def work() -> Any:
        try:
            return _checked(one.hook, one.function(**wanted), call)
        except Exception as error:  # noqa: BLE001  whatever it is, its words are made here: that is code of the plugin
            raise _judge(error, box) from None
        finally:
            call.release()

    return work


def _checked(hook: str, answer: Any, call: HookCall) -> Any:
    if hook in {"check", "check_guest"}:
        # Read here, inside the time box: a generator raises, or hangs, when it is consumed.
        return first_problems(answer or (), lambda: call.expired)
    if hook in {"describe_guest", "guest_settings"}:
        if answer is None or isinstance(answer, Mapping):
            facts = cast("Mapping[str, Any] | None", answer)
            if facts is None or hook == "describe_guest":
                return plain_evidence(facts)
            return plain_settings(facts)
    elif answer is None or (hook == "guest_ready" and isinstance(answer, bool)):
        return answer
    raise TypeError(f"returned {bounded(shown(answer))}")


class _Judged(Exception):
    """What a call that raised is in the report: words, of which nothing is the plugin's code any more."""

    def __init__(self, verdict: Verdict, message: str, trace: str = "", asked_for: str | None = None) -> None:
        super().__init__(message)
        # Cut here, where it was made: a text of many megabytes would be the loop's time, and everybody's.
        self.message, self.trace = bounded(message), bounded(trace, TRACE_LIMIT)
        self.verdict, self.asked_for = verdict, asked_for


def _judge(error: Exception, box: float) -> _Judged:
    """By the very type of the error, as `isinstance` asks its own `__class__`, too."""
    kind = type(error)
    if issubclass(kind, Skip):
        return _Judged(Verdict.SKIPPED, said(error))
    if issubclass(kind, TimeoutError):
        return _Judged(Verdict.TIMEOUT, said(error) or f"no answer within {box:.1f} s")
    if issubclass(kind, CallExpired):
        return _Judged(Verdict.TIMEOUT, said(error))
    if issubclass(kind, LastcallError):
        return _Judged(Verdict.FAILED, with_remedy(error), asked_for=_policy_of(error))
    return _Judged(Verdict.FAILED, in_words(error), _trace(error))


def _policy_of(error: Exception) -> str | None:
    try:
        policy = error.on_failure if isinstance(error, HookFailed) else None
    except BaseException:  # noqa: BLE001  attributes of a plugin's error are the plugin's code
        return None
    return policy if isinstance(policy, str) else None


def _trace(error: BaseException) -> str:
    """Where it was raised, and those that it came from, the first one first; nothing where it lets nobody look."""
    told, size = list[str](), 0
    try:
        one: BaseException | None = error
        while one is not None and len(told) < _CHAIN and size < TRACE_LIMIT:
            # In our words, and not as `traceback` tells it: what an error was given may have no end.
            frames = traceback.format_tb(one.__traceback__, limit=-_FRAMES)
            told.append("".join([*frames, f"{kind_name(one)}: {bounded(said(one))}\n"]))
            size += len(told[-1])
            one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        return masked(bounded("\n".join(reversed(told)), TRACE_LIMIT))
    except BaseException:  # noqa: BLE001  as above
        return ""

"""Calling implementations: one by one, each in its time box, none of them able to spoil another."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from typing import Any, Literal, Protocol

from lastcall.api.guests import Guest
from lastcall.api.results import FAILURES, HookRecord, Verdict
from lastcall.config.settings import HookSettings
from lastcall.errors import Problem
from lastcall.formats.values import changing
from lastcall.hooks.call import HookCall, RunContext
from lastcall.hooks.isolation.bound_call import bound_call
from lastcall.hooks.isolation.failed_call import FailedCall
from lastcall.hooks.isolation.judgement import Judged, judged
from lastcall.hooks.occasions.passed_over import NO_TIME, PassedOver
from lastcall.hooks.registry import Implementation
from lastcall.hooks.tracing.onlooker import CallOnlooker, FiringOnlooker, onlooker
from lastcall.records.records import HookBegun, HookEnded, HookSaid
from lastcall.records.said_lines import CallLines, SaidLines
from lastcall.records.stream import Stream
from lastcall.threads.own_code import Standpoint
from lastcall.threads.workers import Workers
from lastcall.timing.budget import Share
from lastcall.timing.call_box import CallBox
from lastcall.timing.deadline import soonest

_GUEST_HOOKS = frozenset({"on_guest_stop", "on_guest_start", "guest_settings"})
_ASKED_AGAIN = "guest_ready"
_CUT_SHORT = "guest_busy"
# Asked every few seconds for as long as an outage lasts, or a guest waits.
_UNTOLD = frozenset({"power_policy", "power_supplies", "guest_waits"})
_PRE_HOOKS = frozenset({"pre_shutdown", "pre_restore"})
_CUT_OFF = "cut off: the run could not wait any longer"


@changing
class Fired:
    """What firing a hook brought: the answers that were given, by plugin, who failed, and what a failure asks for."""

    answers: list[tuple[str, Any]] = field(default_factory=list)
    failures: list[FailedCall] = field(default_factory=list[FailedCall])
    verdict: Literal["go on", "skip_guest", "abort"] = "go on"
    because: str = ""

    def problems(self, guest: Guest | None = None) -> list[Problem]:
        """The failures, for a command that has asked and shows what was wrong."""
        return [failed.problem(guest) for failed in self.failures]


class Hooks(Protocol):
    """Fires hooks; the engine's view of the plugins."""

    def listens(self, hook: str, guest: Guest | None = None) -> bool:
        """Say whether any plugin implements the hook, for this guest."""
        ...

    def boxes(self, hook: str, guest: Guest | None = None, box: float | None = None) -> float:
        """The most that firing a hook may take, in seconds; `box` is the guest's own time box."""
        ...

    def calls(self, hook: str, guest: Guest | None = None, box: float | None = None) -> list[CallBox]:
        """The calls that firing a hook makes, in their order, as a run that is no rehearsal makes them."""
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
        into: Fired | None = None,
        **arguments: Any,
    ) -> Fired:
        """Call every implementation that is meant for the run, and tell of those for which no time is left.

        `until` is the loop time at which no call may run any longer; `share` is that of a run which turns out meanwhile
        to have less time, and cuts them off. `box` is the guest's own time box in seconds, `since` the loop time of the
        first call of a series. `missed`: only those that were not meant for the run, and are for what it has become.
        `into` keeps what it brings, for who cuts it off.
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
        self._onlooker = onlooker()

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
        into: Fired | None = None,
        **arguments: Any,
    ) -> Fired:
        """Call every implementation in order; see `Hooks.fire`."""
        fired, one, ones = Fired() if into is None else into, None, deque(self._implementations(hook, guest))
        if not ones:
            return fired
        looked_at = self._onlooker.firing(hook, guest, tuple(ones), self._loop.time)
        try:
            async with self._bounded(share):
                while ones:
                    one = ones.popleft()
                    if not self._passed_over.lets(one, guest, missed=missed):
                        looked_at.not_called(one, self._passed_over.why(one) or "has been called already")
                        continue
                    # One by one and not by a call of pluggy: there one implementation that raises skips all the others.
                    limit = self._box(one, until, box)
                    if limit <= 0:
                        self._leave_out(one, guest, fired, looked_at)
                        continue
                    expires = self._loop.time() + limit
                    said = self.lines_of(hook, one.plugin, guest)
                    call = HookCall(self._context, one.plugin, expires=expires, say=said.say, since=since)
                    await self._call(one, guest, fired, call, said, limit, arguments, looked_at.call(one))
        except (TimeoutError, asyncio.CancelledError) as cut_off:
            if one:
                self._apply_policy(fired, self._failed(hook, one.plugin, _CUT_OFF), None)
            for left in ones:
                if hook != _CUT_SHORT and self._passed_over.lets(left, guest, missed=missed):
                    self._leave_out(left, guest, fired, looked_at)
            if isinstance(cut_off, asyncio.CancelledError):
                raise
        return fired

    def _leave_out(self, one: Implementation, guest: Guest | None, fired: Fired, looked_at: FiringOnlooker) -> None:
        looked_at.not_called(one, NO_TIME)
        self._passed_over.leave_out(one, guest)
        self._apply_policy(fired, self._failed(one.hook, one.plugin, NO_TIME, one.file), None)

    def _bounded(self, share: Share | None) -> AbstractAsyncContextManager[None]:
        return self._context.terms.bounded(share, once_changed=True) if share else contextlib.nullcontext()

    def refuse(self, hook: str, plugin: str, fired: Fired, why: str) -> None:
        """Count an answer as a failure; see `Hooks.refuse`."""
        self._apply_policy(fired, self._failed(hook, plugin, why), None)

    def listens(self, hook: str, guest: Guest | None = None) -> bool:
        """Say whether any plugin implements the hook; see `Hooks.listens`."""
        return bool(self._implementations(hook, guest))

    def boxes(self, hook: str, guest: Guest | None = None, box: float | None = None) -> float:
        """The time boxes of all implementations together; see `Hooks.boxes`."""
        return sum(call.seconds for call in self.calls(hook, guest, box))

    def calls(self, hook: str, guest: Guest | None = None, box: float | None = None) -> list[CallBox]:
        """The calls that firing a hook makes; see `Hooks.calls`."""
        reason, ones = self._context.terms.reason, self._implementations(hook, guest)
        # `plan` is a rehearsal itself, and asks for the run that it is about.
        meant = (one for one in ones if not one.occasions.refusal(hook, reason, rehearsal=False))
        return [CallBox(one.plugin, *self._own_box(one, box)) for one in meant]

    def _implementations(self, hook: str, guest: Guest | None = None) -> list[Implementation]:
        """In firing order; for a guest without those that have nothing to do with it."""
        if hook not in self._found:
            self._found[hook] = self._source.implementations(hook)
        found, concerns = self._found[hook], self._context.concerns
        return found if guest is None else [one for one in found if concerns(one.plugin, guest)]

    def _box(self, one: Implementation, until: float | None, guest_box: float | None) -> float:
        box, _ = self._own_box(one, guest_box)
        left = None if until is None else until - self._loop.time()
        return max(0.0, soonest(box, left) or 0.0)

    def _own_box(self, one: Implementation, guest_box: float | None) -> tuple[float, str]:
        """The time box of a plugin's call, and what sets it."""
        own = self._settings.plugins.get(one.plugin)
        if own and own.timeout:
            return own.timeout, f"hooks.plugins.{one.plugin}.timeout"
        return (guest_box, "the guest's hooks.timeout") if guest_box else (self._settings.timeout, "hooks.timeout")

    async def _call(
        self,
        one: Implementation,
        guest: Guest | None,
        fired: Fired,
        call: HookCall,
        said: CallLines,
        box: float,
        arguments: Mapping[str, Any],
        looked_at: CallOnlooker,
    ) -> None:
        key = guest.key if guest else None
        started = self._stream.now()
        # Asked every second until a guest is ready, or about each guest, few of which are busy: begun and ended for
        # each would bury everything else in the run log.
        tried = self._context.rehearsal and one.hook != _ASKED_AGAIN
        told = one.hook not in {_ASKED_AGAIN, _CUT_SHORT, *_UNTOLD} or tried
        if told:
            until = round(started + box, 3)
            self._stream.emit(HookBegun(at=started, guest=key, hook=one.hook, plugin=one.plugin, until=until))
        found, answer, standpoint = Judged(Verdict.OK, ""), None, Standpoint()
        try:
            work = bound_call(one, guest, call, box, arguments, standpoint, said, looked_at)
            answer = await self._workers.call(work, timeout=box)
            _require_in_time(call)
            if answer is not None:
                fired.answers.append((one.plugin, answer))
            if answer and one.hook == _CUT_SHORT:
                found = Judged(Verdict.OK, "; ".join(answer))
        except Judged as failed:
            found = failed
        except Exception as error:  # noqa: BLE001  an exit, or no answer in time
            found = judged(error, one.own, box, standpoint.stack())
        except asyncio.CancelledError:
            # Its time is over and the run goes on; that it was cut off still belongs in the report.
            found = judged(TimeoutError(_CUT_OFF), one.own, box, standpoint.stack())
            if one.hook == _CUT_SHORT:  # as it may be whenever a run goes on: nobody's failure
                found = Judged(Verdict.SKIPPED, "cut off: the run went on")
            raise
        finally:
            call.expire()
            said.end()  # what a call says comes before its end
            where = (found.where or one.file) if found.verdict in FAILURES else ""
            words = "" if found.verdict is Verdict.OK else found.words(where)
            looked_at.ended(words, failed=found.verdict in FAILURES)
            record = HookRecord(
                hook=one.hook, plugin=one.plugin, result=found.verdict, started=started,
                duration=self._stream.since(started), message=found.message, where=where, traceback=found.trace,
                evidence=dict(call.collected),
            )  # fmt: skip
            silent = {Verdict.OK, Verdict.SKIPPED} if one.hook == _CUT_SHORT else {Verdict.OK}
            answered = answer is not None and one.hook not in _UNTOLD
            if told or answered or record.result not in silent:  # no opinion
                self._stream.emit(HookEnded(at=self._stream.now(), guest=key, record=record))
        if record.result in FAILURES:
            self._apply_policy(fired, self._failed(one.hook, one.plugin, found.message, where), found.asked_for)

    def _failed(self, hook: str, plugin: str, message: str, where: str = "") -> FailedCall:
        one = next((one for one in self._implementations(hook) if one.plugin == plugin), None)
        if one is None:
            return FailedCall(plugin, "", hook, message, where)
        return FailedCall(plugin, one.position.source.where, hook, message, where or one.own.definition or one.file)

    def _apply_policy(self, fired: Fired, failed: FailedCall, asked_for: str | None) -> None:
        fired.failures.append(failed)
        own = self._settings.plugins.get(failed.plugin)
        policy = asked_for or (own.on_failure if own else None) or self._settings.on_failure
        if (policy == "skip_guest" and failed.hook in _GUEST_HOOKS) or (
            policy == "abort" and failed.hook in _PRE_HOOKS
        ):
            fired.verdict = policy
            fired.because = f"{failed.hook} of {failed.plugin}: {failed.message}"

    def lines_of(self, hook: str, plugin: str, guest: Guest | None) -> CallLines:
        """Where a call's lines go that a plugin was asked for through this hook, or offers by it."""
        key = guest.key if guest else None

        def emit(line: str) -> None:
            self._stream.emit(HookSaid(at=self._stream.now(), guest=key, hook=hook, plugin=plugin, line=line))

        return self._lines.of_call(emit)


def _require_in_time(call: HookCall) -> None:
    """Raise TimeoutError for a call that came back in the very moment, having been told that it was too late."""
    if call.expired:
        raise TimeoutError

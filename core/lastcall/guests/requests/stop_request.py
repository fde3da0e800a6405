"""Sending one request to one guest: a plugin's stop method, called in a worker and bounded by its time."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias

from lastcall.api.guests import Guest, Key, Outcome
from lastcall.api.stopping import StopMethod, StopRequest
from lastcall.errors import (
    DomainBusy,
    GuestGone,
    HypervisorError,
    LastcallError,
    NotPermitted,
    PluginFailed,
    StartedAnew,
    Unsupported,
    in_words,
)
from lastcall.formats.values import value
from lastcall.guests.requests.core_methods import CoreResume, CoreShutdown, CoreWake
from lastcall.guests.requests.method_work import ask_method, judge_of, require_fit, why_unfit
from lastcall.hooks.call import HookCall, RunContext
from lastcall.hooks.isolation.outside_runs import ask_worker
from lastcall.hooks.tracing.onlooker import onlooker
from lastcall.options import RepeatableOptions
from lastcall.ordering.entrance import Lines
from lastcall.planning.plan import Step
from lastcall.records.said_lines import CallLines
from lastcall.threads.own_code import OwnCode, Standpoint, stack_text
from lastcall.threads.standard_output import Heard
from lastcall.threads.turnstile import Turnstile
from lastcall.threads.workers import Workers
from lastcall.timing.budget import WITHDRAWAL

UNFIT_TIMEOUT = 5.0  # seconds for a question that must not wait
AT_ONCE = 64  # requests to one connection that have a worker, many more than lanes; and as many last resorts
FEW = 16  # the same, of requests that take no time: enough that whoever has answered one finds the next


_IN_VAIN = (Unsupported, NotPermitted, GuestGone, StartedAnew)  # it would be refused again, or must not be made again


_OFFERED_BY = "stop_methods"  # the hook by which plugins offer methods; what those say is told as its lines
LinesOf: TypeAlias = Callable[[str, str, Guest], CallLines]
"""The lines of a call, by the hook, the plugin and the guest that it is for."""


@value
class Notices:
    """What a request tells on its way: `begun`, on the loop thread, when the method is of use and is called; `sent`, by
    the worker, when something goes out to libvirt; `stood` with the plugin's `file:line` and the frames at which a
    method was left whose time was up.
    """

    begun: Callable[[], None]
    sent: Callable[[], None]
    stood: Callable[[str, str], None]


class Asker(Lines, Protocol):
    """The ladder's door to the stop methods."""

    def repeats(self, step: Step) -> float:
        """Seconds after which to ask again; 0 = never."""
        ...

    def insists(self, step: Step, error: BaseException) -> bool:
        """Whether a request that was refused so is made again: the refusal is no property of the method."""
        ...

    def returns_at_once(self, step: Step) -> bool:
        """Whether a request that has not returned tells that QEMU hangs; others last until the guest is off."""
        ...

    def time_of(self, guest: Guest, step: Step) -> float:
        """Seconds for a step where others wait for its end: its own, or the guest's."""
        ...

    def outcome(self, method: str) -> Outcome:
        """What a guest counts as that goes off by this method."""
        ...

    async def unfit(self, guest: Guest, step: Step) -> str | LastcallError:
        """Say why a step is no use for the guest, or nothing; an error where its method fails. Raises nothing."""
        ...

    async def request(self, guest: Guest, step: Step, *, attempt: int, until: float, notices: Notices) -> None:
        """Send the request; returns when the method has.

        Raises Unfit, TimeoutError at `until`, or what the method raises.
        """
        ...

    async def withdraw(self, guest: Guest, step: Step) -> None:
        """Take the request back, as far as the method can. Raises nothing."""
        ...


class _UnderWay:
    """A request that has not returned, and the `seconds` of its own that it has from when it is sent."""

    def __init__(self, guest: Guest, seconds: float, notices: Notices, clock: Callable[[], float]) -> None:
        self.guest = guest
        self.seconds = seconds
        self.sent_at: float | None = None
        self.end = asyncio.timeout(None)
        self.gives_way = False
        self._notices = notices
        self._clock = clock

    def sent(self) -> None:
        """Something goes out to libvirt; called by the worker."""
        self.sent_at = self._clock() if self.sent_at is None else self.sent_at
        self._notices.sent()


class MethodAsker:
    """Implements `Asker` with the plugins' stop methods. `methods` maps a name to (plugin, method)."""

    def __init__(
        self,
        methods: Mapping[str, tuple[str, StopMethod[Any]]],
        context: RunContext,
        workers: Workers,
        loop: asyncio.AbstractEventLoop,
        timeout_of: Callable[[Guest], float],
        lines_of: LinesOf,
    ) -> None:
        core = [CoreShutdown(), CoreResume(), CoreWake()]
        self._methods = {**{method.name: ("core", method) for method in core}, **methods}
        self._models: dict[str, type[Any]] = {}  # by method; looked up anew, each rung of each guest would pay for that
        self._defaults: dict[str, Any] = {}
        self._context = context
        self._workers = workers
        self._loop = loop
        self._timeout_of = timeout_of
        self._lines_of = lines_of
        self._onlooker = onlooker()
        self._under_way: set[_UnderWay] = set()
        self._unanswered: set[Key] = set()  # guests whose latest request was given up
        # Who is known to hang does not keep others from being let in: the lanes have places for those.
        # Nor does who waits for a place among those that are moved to another host, for minutes.
        self._turnstiles = defaultdict[tuple[str, bool, bool, bool], Turnstile](
            lambda: Turnstile(workers, AT_ONCE, FEW)
        )

    def make_room(self, uuids: Collection[str]) -> None:
        """Others wait for a lane because calls about these guests hang: theirs end when their own time is over.

        A last rung lasts until the last resort where nobody waits for its guest. Here somebody does: sixteen QEMUs that
        hung kept every lane until then, and two healthy guests were destroyed without a request on the wire.
        """
        now = self._loop.time()
        for one in list(self._under_way):
            if (
                one.guest.uuid in uuids
                and not one.gives_way
                and one.sent_at is not None
                and now >= one.sent_at + one.seconds
            ):
                one.gives_way = True
                one.end.reschedule(now)

    def repeats(self, step: Step) -> float:
        """The method's `resend`, if it may be asked again at all."""
        options = self._options(step)
        return options.resend if isinstance(options, RepeatableOptions) else 0.0

    def insists(self, step: Step, error: BaseException) -> bool:
        """See `Asker.insists`. A job of somebody else ends; of other refusals, only what is harmless is repeated."""
        if not isinstance(error, HypervisorError) or isinstance(error, _IN_VAIN):
            return False
        return step.insists or isinstance(error, DomainBusy) or self._may_be_repeated(step)

    def returns_at_once(self, step: Step) -> bool:
        """See `Asker.returns_at_once`. What may be asked again does not last until the guest is off."""
        return not step.last_resort and self._may_be_repeated(step)

    def time_of(self, guest: Guest, step: Step) -> float:
        """See `Asker.time_of`."""
        return step.timeout or self._timeout_of(guest)

    def outcome(self, method: str) -> Outcome:
        """See `Asker.outcome`."""
        return self._methods[method][1].outcome if method in self._methods else Outcome.STOPPED

    def is_short(self, uri: str, length: int, tell: Callable[[], None]) -> bool:
        """See `Lines.is_short`. Those alone count that nobody has a reason to treat in another way."""
        return self._turnstiles[uri, False, False, False].is_short(length, tell)

    async def unfit(self, guest: Guest, step: Step) -> str | LastcallError:
        """Ask the method; see `Asker.unfit`."""
        plugin, method = self._methods[step.method]
        said = self._lines_of(_OFFERED_BY, plugin, guest)
        call = HookCall(self._context, plugin, expires=self._loop.time() + UNFIT_TIMEOUT, say=said.say)
        called, own = self._context.called(plugin), OwnCode(judge_of(method))
        try:
            work = partial(why_unfit, method, self._stop_request(guest, step, call, attempt=1), said)
            return await ask_worker(self._workers, called, own, work, UNFIT_TIMEOUT)
        except LastcallError as error:  # shown in the plan, where somebody can do something about it
            if isinstance(error, PluginFailed):
                return error
            return PluginFailed(f"{called} failed: {in_words(error)}", error.remedy)
        finally:
            call.expire()
            said.end()

    async def request(self, guest: Guest, step: Step, *, attempt: int, until: float, notices: Notices) -> None:
        """Send the request; see `Asker.request`."""
        turnstile = self._turnstiles[guest.uri, step.last_resort, guest.key in self._unanswered, step.moves]
        async with turnstile.let_in(None if until == math.inf else until):
            try:
                await self._send(guest, step, attempt=attempt, until=until, notices=notices)
            except (TimeoutError, asyncio.CancelledError):
                self._unanswered.add(guest.key)
                raise
            self._unanswered.discard(guest.key)

    async def _send(self, guest: Guest, step: Step, *, attempt: int, until: float, notices: Notices) -> None:
        plugin, method = self._methods[step.method]
        under_way = _UnderWay(guest, self.time_of(guest, step), notices, self._loop.time)
        said = self._lines_of(_OFFERED_BY, plugin, guest)
        call = HookCall(self._context, plugin, expires=until, say=said.say, sent=under_way.sent)
        # What it looks up for `unfit` is no request yet.
        looking = HookCall(self._context, plugin, expires=until, say=said.say)
        standpoint, looked_at = Standpoint(), self._onlooker.asking(step.method, plugin, guest, self._loop.time)
        request = looked_at.watching(
            lambda: method.request(self._stop_request(guest, step, call, attempt)),
            {"guest": guest, "run": call, "attempt": attempt},
        )

        def ask() -> None:
            with standpoint:
                require_fit(method, self._stop_request(guest, step, looking, attempt), said)
                call.remaining()  # a call that was given up must not say that it begins
                self._workers.post(notices.begun)
                try:
                    ask_method(method, request, said)
                finally:
                    call.release()

        left = None if until == math.inf else max(0.0, until - self._loop.time())
        otherwise, failed = "not waited for any longer", False
        try:
            async with under_way.end:
                await self._watched(under_way, step, self._workers.call(ask, timeout=left))
            otherwise = ""
        except (TimeoutError, asyncio.CancelledError) as error:
            stack = standpoint.stack()
            if stack:
                notices.stood(OwnCode(method.request).last_of(stack), stack_text(stack))
            if isinstance(error, asyncio.CancelledError) or not under_way.gives_way:
                raise
            await self.withdraw(guest, step)
            raise TimeoutError("no answer in its time, and others wait for libvirt") from None
        except Exception as error:
            otherwise, failed = f"failed: {in_words(error)}", True
            raise
        finally:
            call.expire()
            looking.expire()
            said.end()
            looked_at.ended(otherwise, failed=failed)

    async def _watched(self, under_way: _UnderWay, step: Step, answer: Coroutine[Any, Any, None]) -> None:
        """Wait for the answer, as one that may have to make room; not a last resort, which ends what hangs."""
        if not step.last_resort:
            self._under_way.add(under_way)
        try:
            await answer
        finally:
            self._under_way.discard(under_way)

    async def withdraw(self, guest: Guest, step: Step) -> None:
        """Take the request back; see `Asker.withdraw`."""
        plugin, method = self._methods[step.method]
        limit = self._context.terms.share(WITHDRAWAL)
        said = self._lines_of(_OFFERED_BY, plugin, guest)
        call = HookCall(self._context, plugin, expires=self._loop.time() + limit, say=said.say)

        def take_back() -> None:
            with Heard(said.say):
                method.withdraw(self._stop_request(guest, step, call, attempt=1))

        try:
            await self._workers.call(take_back, timeout=limit)
        except Exception:  # noqa: BLE001, S110  the next rung is tried in any case
            pass
        finally:
            call.expire()
            said.end()

    def _stop_request(self, guest: Guest, step: Step, call: HookCall, attempt: int) -> StopRequest[Any]:
        options = self._options(step)
        return StopRequest(guest=guest, options=options, run=call, attempt=attempt, last_resort=step.last_resort)

    def _may_be_repeated(self, step: Step) -> bool:
        return issubclass(self._model(step.method), RepeatableOptions)

    def _options(self, step: Step) -> Any:
        return step.options if step.options is not None else self._default(step.method)

    def _default(self, method: str) -> Any:
        if method not in self._defaults:
            self._defaults[method] = self._model(method)()
        return self._defaults[method]

    def _model(self, method: str) -> type[Any]:
        if method not in self._models:
            self._models[method] = self._methods[method][1].options
        return self._models[method]

"""Has libvirt start a guest, as often as is configured, and finds out what became of it."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.config.settings import RestoreSettings
from lastcall.errors import BadImage, ConnectionLost, HypervisorError, LastcallError, in_words
from lastcall.formats.values import value
from lastcall.formats.visible_text import as_argument
from lastcall.guests.rungs.on_poweroff import set_on_poweroff
from lastcall.hypervisor.ports import PLAIN, Condition, GuestFacts, Hypervisor, OtherJob, Standing, StartNeeds
from lastcall.presence.power_state import PowerState
from lastcall.records.records import GuestAsked
from lastcall.records.report_builder import START
from lastcall.records.stream import Stream
from lastcall.threads.wakeup import Wakeup

T = TypeVar("T")
CONNECTION_POLL = 0.5  # seconds
MIGRATION, SAVE = "the end of its migration", "the end of its save"
_EVENT_PATIENCE = 2.0  # seconds for the start event, which says whether the guest came from a saved image


class Spacing:
    """Keeps some time (seconds) between one start and the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._lock = asyncio.Lock()
        self._next = -math.inf

    async def wait(self) -> None:
        """Wait until the next guest may start."""
        if self._delay:
            async with self._lock:
                await asyncio.sleep(max(0.0, self._next - self._loop.time()))
                self._next = self._loop.time() + self._delay


@value
class NotStarted:
    """Why a guest was not started. `parked`: libvirt refused each attempt; no answer says nothing about the guest.

    `bad_image`: what was refused is its saved image. `lacks`: what it needs and that is not there.
    """

    why: str
    parked: bool
    bad_image: bool = False
    lacks: str = ""


@value
class Started:
    """It runs. `by_us`: libvirt has answered a request of ours so, or has left one without an answer."""

    by_us: bool


class Starter:
    """Has libvirt start guests, as often as is configured, and finds out whether they came from a saved image."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        status: PowerState,
        stream: Stream,
        settings: RestoreSettings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._hypervisor = hypervisor
        self._status = status
        self._stream = stream
        self._settings = settings
        self._loop = loop
        self._spacing = Spacing(loop, settings.delay)
        self._dropped = set[Key]()  # whose images were removed here, and that boot for that

    async def standing(self, guest: Guest) -> Standing:
        """Ask libvirt about a guest; raises LastcallError or TimeoutError."""
        return await self._answered(guest, lambda: self._hypervisor.standing(guest))

    async def first_standing(self, guest: Guest) -> Standing:
        """The same as often as a start is tried: a daemon that hangs as the host boots answers a minute later."""
        for _ in range(1, self._settings.attempts):
            with contextlib.suppress(LastcallError, TimeoutError):
                return await self.standing(guest)
            await asyncio.sleep(self._settings.retry)
        return await self.standing(guest)

    async def on_its_way(self, guest: Guest) -> str:
        """What has to end before a guest that is not off counts as being here: the migration that brings it, or a save
        that takes it off. Empty where there is none. Raises as `standing` does.
        """
        known = await self.facts(guest)
        if known.condition is Condition.ARRIVING:
            return MIGRATION
        return SAVE if known.job is OtherJob.SAVE else ""

    async def facts(self, guest: Guest) -> GuestFacts:
        """What libvirt tells of a guest that is not off; plain where it is gone. Raises as `standing` does."""
        found = await self._answered(guest, lambda: self._hypervisor.facts(guest.uri, [guest]))
        return found.get(guest.key, PLAIN)

    async def is_off_again(self, guest: Guest, *, heard: bool) -> bool:
        """Whether one that was started is off by now; `heard`: ask only where libvirt has told of it.

        It is asked in any case, as the event of a start that was refused may come after the one that was not.
        """
        if heard and self._status.ended(guest.key) is None:
            return False
        return await self._state(guest) is GuestState.OFF

    async def start(self, guest: Guest) -> Started | NotStarted:
        """Start it; returns that it runs, or why it could not be started."""
        failed = await self._try(guest)
        if isinstance(failed, Started) or not failed.bad_image:
            return failed
        if self._settings.bad_image == "park":
            remedy = f"`lastcall restore {as_argument(guest.name)} --fresh` starts it without the image"
            return NotStarted(f"{failed.why}; {remedy}", parked=True, bad_image=True)
        # Only now that each attempt failed: a disk that does not answer for a moment looks like an image that is cut.
        kept = await self.drop_image(guest)
        if kept:
            return kept
        message = f"{failed.why.partition(';')[0]}; it is started without, and what was in its memory is lost"
        self._stream.problem("image", guest.name, message, "restore.bad_image is fresh; park keeps such images")
        return await self._try(guest)

    async def drop_image(self, guest: Guest) -> NotStarted | None:
        """Remove its saved image; returns why it could not be, if so: with it, it is not to be started."""
        try:
            await self._answered(guest, lambda: self._hypervisor.drop_image(guest))
        except (LastcallError, TimeoutError) as error:
            return NotStarted(
                f"its saved image cannot be removed: {in_words(error)}; it stays on the list", parked=False
            )
        self._dropped.add(guest.key)
        return None

    async def supply(self, guest: Guest) -> StartNeeds:
        """Have what it needs started, and find out what is missing; nothing, where libvirt does not say."""
        try:
            return await self._hypervisor.supply(guest)
        except (LastcallError, TimeoutError):
            return StartNeeds()

    async def _try(self, guest: Guest) -> Started | NotStarted:
        why, refusals, unanswered, bad_image, begun = "", 0, 0, False, set[str]()
        # At boot a network, pool or disk may not be there yet. libvirt-guests tries once, deletes
        # its list, and the guest is lost for good.
        attempt = 0
        while attempt < self._settings.attempts:
            attempt += 1
            if attempt > 1:
                await asyncio.sleep(self._settings.retry)
            await self._spacing.wait()
            self._stream.emit(GuestAsked(at=self._stream.now(), guest=guest.key, method=START, attempt=attempt))
            try:
                await self._answered(guest, lambda: self._start(guest))
            except (LastcallError, TimeoutError) as error:
                why = in_words(error)
                refused = isinstance(error, HypervisorError) and not isinstance(error, ConnectionLost)
                unanswered += not refused
                state = await self._state(guest)
                # An answer may have been lost, or somebody else was faster, as libvirt itself is with its autostarts.
                if state not in {GuestState.OFF, GuestState.UNKNOWN}:
                    return Started(by_us=unanswered > 0)
                # Only after a refusal: nobody knows as well as libvirt what a start really needs.
                supply = await self.supply(guest)
                if supply.missing:
                    return NotStarted(why, parked=False, lacks=supply.missing[0])
                if set(supply.begun) - begun:
                    begun.update(supply.begun)
                    attempt -= 1  # it could not succeed
                    continue
                # Of one that libvirt says nothing about, it may have been refused because it runs.
                refusals += refused and state is GuestState.OFF
                bad_image = isinstance(error, BadImage)
            else:
                return Started(by_us=True)
        parked = refusals == self._settings.attempts
        rest = f"parked after {refusals} attempts" if parked else "it stays on the list"
        return NotStarted(f"{why}; {rest}", parked=parked, bad_image=bad_image and parked)

    async def let_restart(self, guest: Guest) -> bool:
        """Give a guest that was never off its on_poweroff=restart back; returns whether it has it."""
        return await set_on_poweroff(self._hypervisor, self._stream, guest, "restart")

    async def _start(self, guest: Guest) -> None:
        await self._hypervisor.start(guest, bypass_cache=self._settings.bypass_cache)

    async def _answered(self, guest: Guest, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask libvirt; while the connection is dead and being tried again, wait for it."""
        while True:
            try:
                return await ask()
            except ConnectionLost:
                if self._status.away(guest.uri) is None:
                    raise
                await asyncio.sleep(CONNECTION_POLL)

    async def _state(self, guest: Guest) -> GuestState:
        try:
            return (await self.standing(guest)).state
        except (LastcallError, TimeoutError):
            return GuestState.UNKNOWN

    async def came_from_image(self, guest: Guest) -> bool:
        """Wait for libvirt's STARTED event: it alone says so, not the image that was there before.

        Where it says that the guest has booted, its memory is lost, which is a problem.
        """
        key, wakeup = guest.key, Wakeup(self._loop)
        until = self._loop.time() + _EVENT_PATIENCE
        with self._status.watch(key, wakeup.ring):
            while self._status.restored(key) is None and self._loop.time() < until:
                await wakeup.wait(until)
        # The test driver says of every guest that it has booted.
        if self._status.restored(key) is False and key not in self._dropped and guest.driver == "QEMU":
            # libvirt itself removes an image that it had not begun to write, or that ends within its head.
            message = "was started without its saved image, and what was in its memory is lost"
            self._stream.problem("image", guest.name, message, "libvirt drops images that were never written whole")
        return bool(self._status.restored(key))

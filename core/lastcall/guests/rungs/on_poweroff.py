"""Guests that come back by themselves: with `on_poweroff=restart` a shutdown is a reboot."""

import asyncio

from lastcall.api.guests import Guest
from lastcall.errors import LastcallError, in_words
from lastcall.hypervisor.ports import Hypervisor
from lastcall.planning.plan import SAVE, Step
from lastcall.records.stream import Stream

TIMEOUT = 5.0  # seconds; the setting is changed in libvirt and QEMU without waiting for the guest


class PoweroffAction:
    """Keeps one guest from coming back, for this stop only: put back before a save or move, and when it stays up.

    The change is to the running guest, never to its definition; it ends with the guest. `changed`: an earlier stop of
    the guest may have left it so.
    """

    def __init__(
        self, hypervisor: Hypervisor, stream: Stream, guest: Guest, *, restarts: bool, changed: bool = False
    ) -> None:
        self._hypervisor = hypervisor
        self._stream = stream
        self._guest = guest
        self._restarts = restarts
        self._neutralised = changed
        self._stands = False  # whether it is certain that it is

    async def prepare_for(self, step: Step) -> None:
        """Make the guest stay off after this step; a saved image, and a guest that is moved, keep its own setting."""
        if not self._restarts:
            return
        # The setting is part of what is saved: the guest would come back with ours instead of its own.
        if step.method == SAVE:
            await self.put_back()
        # And of what is moved. Whether it is still its own is known of this run alone: one that was killed may have
        # left it changed, and who is moved is not here to be put right at the next start.
        elif step.moves:
            self._neutralised = not await self._set("restart") and self._neutralised
            self._stands &= self._neutralised
        # Left as it is, every request is answered by a reboot, until the time is up and the plug is pulled.
        elif not self._stands:
            self._stands = await self._set("destroy")
            self._neutralised |= self._stands

    @property
    def changed(self) -> bool:
        """Whether the guest has our setting, and not its own."""
        return self._neutralised

    async def put_back(self) -> None:
        """Give the guest its own setting back."""
        if self._neutralised and await self._set("restart"):
            self._neutralised = self._stands = False

    async def _set(self, action: str) -> bool:
        return await set_on_poweroff(self._hypervisor, self._stream, self._guest, action)


async def set_on_poweroff(hypervisor: Hypervisor, stream: Stream, guest: Guest, action: str) -> bool:
    """Set what becomes of a running guest that powers off; a failure is a problem of the report."""
    try:
        async with asyncio.timeout(TIMEOUT):
            await hypervisor.set_on_poweroff(guest, action)
    except (LastcallError, TimeoutError) as error:
        message = f"on_poweroff could not be changed to {action!r}: {in_words(error)}"
        stream.problem("guest", guest.name, message, "take on_poweroff=restart out of the domain's XML")
        return False
    return True

"""Whom a restore brings back: who is on the list, or chosen from it; at boot who is due, and who is to run always."""

from dataclasses import replace

from lastcall.api.guests import GuestState
from lastcall.config.settings import RestoreSettings
from lastcall.formats.values import value
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Entry
from lastcall.planning.selection import EVERYBODY, Selection
from lastcall.presence.inventory import Inventory
from lastcall.presence.session_uris import is_own_session


@value(kw_only=True)
class RestorePlanning:
    """What a restore is asked for and configured to be. `at_boot`: only what is due, and what is to run always.

    `fresh`: saved images are removed first. `insists`: a first Ctrl-C leaves nobody off.
    """

    settings: RestoreSettings
    chosen: Selection = EVERYBODY
    at_boot: bool = False
    fresh: bool = False
    insists: bool = False


class ReturnChoice:
    """Chooses from the list, and at boot adds to it. `run`, `boot_id`: of the restore."""

    def __init__(
        self, wanted: RestorePlanning, state: StateFile, inventory: Inventory, *, run: str, boot_id: str
    ) -> None:
        self._wanted, self._settings = wanted, wanted.settings
        self._state, self._inventory = state, inventory
        self._run, self._boot_id = run, boot_id

    def is_first_of_boot(self) -> bool:
        """Whether no restore of this boot has got an answer from every connection, and came to its end."""
        self._state.stamp(self._boot_id)
        return self._state.restored_in != self._boot_id

    def listed(self) -> list[Entry]:
        """Those of the list. Raises UsageError where one is chosen that is not on it."""
        entries = list(self._state.entries.values())
        chosen = self._wanted.chosen
        if chosen:
            found = chosen.listed(entries)
            return found if chosen.tells_guests else [entry for entry in found if not entry.parked]
        if not self._settings.brings_back:
            return []
        if self._wanted.at_boot:
            # Entries of earlier boots wait for a person: their guests may run on another
            # host by now, and twice is worse than late.
            due = [entry for entry in entries if entry.is_due_from(self._state.previous_boot)]
            # What would be started for them by this unit ends with it.
            return [entry for entry in due if not is_own_session(entry.uri)]
        return [entry for entry in entries if not entry.parked]

    async def always_running(self) -> list[Entry]:
        """Once a boot: the guests whose `restore` is `always` and that are not on the list, as after a crash.

        They come on the list as if the shutdown just before had stopped them, so that a run that is killed loses none.
        """
        state = self._state
        if self._wanted.chosen or not self._settings.brings_back:
            return []
        # Once for each connection: where another one does not answer, this is begun again every minute, and who was
        # shut down meanwhile was meant to be.
        listed = await self._inventory.connections.off(but=state.served)
        state.served |= listed.keys()
        off = [guest for guests in listed.values() for guest in guests if guest.key not in state.entries]
        await self._inventory.learn(off)
        # libvirt's own autostart has no order and comes before any client; this is the ordered way to the same.
        wanted = [guest for guest in off if self._inventory.policies.of(guest).restore == "always"]
        running = [replace(guest, state=GuestState.RUNNING) for guest in wanted]
        return state.add(running, run=self._run, boot_id=state.previous_boot or "", cause="host", due=True)

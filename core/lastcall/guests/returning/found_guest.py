"""Where a guest is by now that was moved, or was about to be: by what libvirt says here, and on the other hosts."""

from collections.abc import Mapping

from lastcall.api.guests import Ended, GuestState, host_of
from lastcall.formats.values import value
from lastcall.guests.starter import MIGRATION
from lastcall.hypervisor.moving.other_hosts import FarGuest
from lastcall.hypervisor.ports import Standing


@value
class FoundGuest:
    """How it stands `here`, what others say of it (`there`, by URI), and why others say nothing (`silent`, by URI).

    `travels`: a migration of it is under way, to here or away from one of the others. `departs`: one away from here.
    """

    here: Standing
    there: Mapping[str, FarGuest]
    silent: Mapping[str, str]
    travels: bool = False
    departs: bool = False

    @property
    def runs_here(self) -> bool:
        """Whatever is not off counts: a guest that is paused has its disks open as well."""
        return self.here.state is not GuestState.OFF

    @property
    def runs_at(self) -> list[str]:
        """The URIs of the other hosts where it is not off."""
        return [uri for uri, far in self.there.items() if far.state is not GuestState.OFF]

    @property
    def runs_twice(self) -> bool:
        """Whether several hosts say that it runs there; one that travels is one guest, though both ends have it."""
        return not (self.travels or self.departs) and self.runs_here + len(self.runs_at) > 1

    @property
    def is_doubtful(self) -> bool:
        """Whether it may be somewhere else as well, or in a moment: whoever looks again is to ask all of them."""
        return self.departs or bool(self.silent)

    @property
    def is_defined_here(self) -> bool:
        """Whether it can be started here."""
        return self.here.ended is not Ended.VANISHED

    @property
    def defined_at(self) -> list[str]:
        """The URIs of the other hosts that have a definition of it."""
        return [uri for uri, far in self.there.items() if far.defined]

    @property
    def lacks(self) -> str:
        """What is missing before it may be started or fetched: the end of its migration, or somebody's answer; else
        empty.
        """
        if self.travels:
            return MIGRATION
        if self.runs_here or self.runs_at:
            return ""
        hosts = " and ".join(map(host_of, self.silent))
        return f"an answer of {hosts}" if hosts else ""

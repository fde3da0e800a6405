"""The stop methods of the core itself: what is asked where no plugin's method is of use, or to prepare for one."""

from lastcall.api.stopping import StopMethod, StopRequest
from lastcall.planning.plan import CORE_METHOD, RESUME, WAKE

WAKING = 3.0  # seconds until a guest that was asleep hears again


class CoreShutdown(StopMethod):
    """libvirt's own default: the agent where one is connected, else ACPI; for a ladder of which nothing is left."""

    name = CORE_METHOD

    def request(self, call: StopRequest) -> None:
        """Ask as `virsh shutdown` does."""
        # Where an agent is connected this returns only when the guest is off; the
        # ladder waits for the event and not for it.
        call.run.domain(call.guest).shutdown("default")


class CoreResume(StopMethod):
    """Lets a paused guest go on, so that it can hear a request."""

    name = RESUME

    def request(self, call: StopRequest) -> None:
        """Resume it."""
        call.run.domain(call.guest).resume()


class CoreWake(StopMethod):
    """Wakes a guest that sleeps (pm-suspended), so that it can hear a request."""

    name = WAKE

    def request(self, call: StopRequest) -> None:
        """Wake it, and give it a moment: what it is sent while it opens its eyes is lost."""
        call.run.domain(call.guest).wake()
        call.run.sleep(min(WAKING, call.run.remaining()))

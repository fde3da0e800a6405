"""How a run's time is shared out: whatever gets "at most a part of what is left" has its name and its figures here.

docs/ordering.md shows them as a table, which a test holds against this module.
"""

import math

from lastcall.formats.values import value


@value
class Share:
    """At most `seconds`, and at most this `part` of the time it is cut from; `math.inf` seconds = the part alone."""

    what: str
    seconds: float
    part: float

    def of(self, left: float | None) -> float:
        """Seconds of the `left` ones; None = no limit, of which the seconds are all that counts."""
        return self.seconds if left is None else min(self.seconds, left * self.part)


RESERVE = Share("`shutdown.reserve`, for the last resort", math.inf, 1 / 3)
# libvirt-guests never asks who is still queued when its time is up: here
# everybody is, this long before the last resort.
GRACE = Share("`shutdown.grace`, before the reserve", math.inf, 1 / 4)
AFTERMATH = Share("`post_shutdown`, of the reserve", 5.0, 1 / 2)
# Nobody listens to it: what is left is for the last look, the run log and the report.
ENDING = Share("the end of a run without `post_shutdown`", 0.5, 1 / 20)
# Events tell of nearly everything at once, and these rounds of what they do not: the closer the end, the more of that
# is found too late. libvirt-guests asks for each guest every second, by a process, and took 44.6 s for 401 guests that
# were off at once.
ROUND = Share("between two rounds of asking for the guests that are waited for", 5.0, 1 / 8)
LAST_LOOK = Share("the last look at guests that were still running", 5.0, 1 / 2)
LATE = Share("between a request that comes only with the last resort, and the plug", math.inf, 1 / 3)
# A daemon that hangs, or a plugin, may cost the guests a part of their time, but not their last call.
STEP = Share("one step before or after the guests: connecting, listing, `pre_shutdown`", math.inf, 1 / 4)
WRITING = Share("bringing the list of guests to disk", 10.0, 1 / 4)
# Fired before somebody's backup was over, they kept a service down for as long as that took.
PREPARATION = Share(
    "hooks `on_guest_stop` of a guest that somebody's job holds, before everybody is asked", math.inf, 1 / 2
)
BUSY = Share("`guest_busy` of a guest, before anybody is asked by hand", 10.0, 1 / 10)
# A UPS that does not answer must not cost the guests what its battery has left.
SUPPLIES = Share("`power_policy` and `power_supplies`, each time that the UPSes are asked", 5.0, 1 / 10)
STUCK = Share("`on_guest_stuck`, before the last resort", 5.0, 1 / 4)
ABORT = Share("ending a job of somebody else, of the time to the last resort", 5.0, 1 / 2)
# A delay longer than the restore would leave its guest off for good.
DELAY = Share("`start_delay` of a guest, before its start", math.inf, 1 / 2)
# Of a restore at boot the rest is done by the next one, which the unit begins: others wait for the end of this.
NEEDS = Share("what a guest needs for its start and that is not there", 120.0, 1 / 2)
# What is taken back may hang as well, and the next rung waits for it.
# A server that is down would hold a boot: the lock is given back by the next try of the unit, or by hand.
FLEET_LOCK = Share("giving back the lock of this host, at the end of a restore", 30.0, 1 / 2)
WITHDRAWAL = Share("taking a request back, before the next rung", 5.0, 1 / 2)
PRE_SLEEP = Share("`pre_sleep`, before a sleep of the host", 15.0, 1 / 4)
# Whoever closes a lid carries the host away: a save that is aborted leaves its guest running, and it is told.
WAKEFUL = Share("ending saves that are not over when the host is to sleep", 10.0, 1 / 4)
# A state that does not last is none to judge by; but others are to be woken as well.
SETTLING = Share("the end of a job that holds a guest as the host wakes", 60.0, 1 / 2)
CLEARANCE = Share("forcing off what a joined run leaves, of the reserve", math.inf, 1 / 2)
KILLING = Share("ending an executable hook whose time is up, of its time box", 2.2, 1 / 10)
TERMINATION = Share("between SIGTERM and SIGKILL to it", 2.0, 1 / 2)

SHARES = (
    RESERVE,
    GRACE,
    AFTERMATH,
    ENDING,
    ROUND,
    LAST_LOOK,
    LATE,
    STEP,
    WRITING,
    PREPARATION,
    BUSY,
    SUPPLIES,
    STUCK,
    ABORT,
    DELAY,
    NEEDS,
    FLEET_LOCK,
    WITHDRAWAL,
    PRE_SLEEP,
    WAKEFUL,
    SETTLING,
    CLEARANCE,
    KILLING,
    TERMINATION,
)

# A grace of 0 s would have everybody asked in the moment in which the plugs are pulled.
LEAST_GRACE = Share("the least grace", 5.0, 1 / 20)  # seconds or the part, whichever is more
# With a third alone, the plug of a QEMU that hangs could not be confirmed within a deadline of half a minute.
LEAST_RESERVE = 12.5  # seconds that a reserve may have of a short deadline, up to half of it

# With a reserve of nothing the guests were done with in the moment in which the plugs were to be pulled: nobody was
# forced, and the host went down under running guests. A reserve of 2 s leaves as much beside `post_shutdown`, and that
# of a short deadline this part of it.
LEAST_LAST_RESORT = Share("the least time of the last resort", 1.0, 1 / 4)

# libvirt sends SIGTERM to a QEMU that hangs, and SIGKILL 10 s later; on a stopped QEMU that took 10.4 to 11.6 s. A plug
# pulled later than this before the end is not confirmed in time, and its guest would be reported as still running.
PLUG = 12.0  # seconds

# A restore whose time is over still learns whether it holds a lock: most hosts hold none, and have nothing to tell.
LOCK_NOTE = 1.0  # seconds at least

# A host that is to sleep waits for us, and a second sleep for the end of the waking.
GOING_TO_SLEEP = 60.0  # seconds for all that comes before a sleep
WAKING = 120.0  # seconds for all that comes after it

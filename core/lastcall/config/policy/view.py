"""What a policy comes to, as plugins read it."""

from lastcall.api.guest_keys import GuestHooks, GuestSettings, GuestShedding
from lastcall.config.guest_settings import GuestPolicy, written_match
from lastcall.config.policy.management import is_ours


def view_of(policy: GuestPolicy, ready_timeout: float) -> GuestSettings:
    """What a policy comes to, for plugins to read. `ready_timeout`: that of all guests."""
    return GuestSettings(
        manage=is_ours(policy),  # a plugin that asks for it wants to know whether the guest is ours
        depends_on=tuple(written_match(match) for match in policy.depends_on),
        order=policy.order,
        stop=tuple(step.chosen[0] for step in policy.stop),
        timeout=policy.timeout,
        last_resort=tuple(step.chosen[0] for step in policy.last_resort),
        paused=policy.paused,
        jobs=policy.jobs,
        transient=policy.transient,
        restore=policy.restore,
        drill=policy.drill,
        shed=shedding_of(policy),
        sleep=policy.sleep,
        start_delay=policy.start_delay,
        ready_timeout=ready_timeout if policy.ready_timeout is None else policy.ready_timeout,
        shell=policy.shell,
        hooks=GuestHooks(timeout=policy.hooks.timeout),
    )


def shedding_of(policy: GuestPolicy) -> GuestShedding:
    """When a guest of this policy is shed, of those that are managed."""
    shed = policy.shed
    return GuestShedding(after=shed.after, below=shed.below, runtime_below=shed.runtime_below)

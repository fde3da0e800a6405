"""Sample drop-in: tell whoever is logged in to a guest that it is about to stop, and give them a moment.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others) and say which guests it is for. They need a
guest shell:

    guests:
      - match: "desktop-*"
        shell: [agent, ssh]
        warn_users: {wait: 30s}

It is for every reason: a guest that is stopped by hand has users, too. On battery they are told, and not waited for.
"""

from pydantic import Field

import lastcall
from lastcall.options import Duration, Options

NOT_FOUND = 127  # what a shell says of a command that is not there


class ForGuest(Options):
    """The guest key `warn_users`."""

    wait: Duration = Field(default=20.0, description="How long they get, where anybody is logged in.")
    text: str = Field(default="This machine stops in {seconds} seconds.", description="What they are told.")


@lastcall.hookimpl
def plugin_options() -> lastcall.PluginOptions:
    """Declare the guest key, without which a guest is left in peace."""
    return lastcall.PluginOptions(guest=ForGuest, only_where_set=True)


@lastcall.hookimpl
def on_guest_stop(guest: lastcall.Guest, run: lastcall.Run) -> None:
    """Fires while the guest still runs; in a rehearsal it is going to go on, and nobody is told of a stop."""
    options, shell = run.options(ForGuest, guest), run.shell(guest)
    users = sorted({line.split()[0] for line in shell.run("who").check().stdout.splitlines() if line.strip()})
    if not users:
        raise lastcall.Skip("nobody is logged in")
    run.evidence(users=users)
    # On battery every second is one of the guests'. A wait as long as the call would end with it, as a failure.
    wait = 0.0 if run.reason is lastcall.Reason.POWER else min(options.wait, run.remaining() / 2)
    if run.rehearsal:
        run.log(f"would tell {', '.join(users)}, and wait {wait:.0f} s")
        return
    # As its input: a command line would show what is written to whoever looks at the processes of the guest.
    told = shell.run(["wall"], input=options.text.replace("{seconds}", f"{wait:.0f}") + "\n")
    if told.exit_code == NOT_FOUND:
        raise lastcall.Skip("there is no wall in it")
    told.check()
    run.log(f"told {', '.join(users)}; waiting {wait:.0f} s")
    run.sleep(wait)

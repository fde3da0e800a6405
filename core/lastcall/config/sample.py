"""A commented configuration to start from. Every value is the built-in default, so that nothing changes by using it."""

SAMPLE = """\
# /etc/lastcall/config.yaml; further files in /etc/lastcall/conf.d/*.yaml are laid over it, in order of their names.
# Check it with `lastcall config check`, see what it does with `lastcall plan`. Durations: 90s, 4min, 1h30m.

# The libvirt connections whose guests are ours. One that may be missing: {uri: "lxc:///system", optional: true}
connections: [qemu:///system]

shutdown:
  deadline: 10min     # the whole run is over by then; none = no limit, in runs by hand only
  reserve: 30s        # kept of the deadline for the last resort (at most a third of it)
  grace: 30s          # before that, everybody not yet asked is asked (at most a quarter)
  parallel: 0         # guests moving at once, 0 = no limit

restore:
  policy: was-running # or: none
  deadline: 15min
  parallel: 4         # a slot is held until the guest is ready
  delay: 0s           # between one start and the next
  attempts: 3         # then the guest is parked, and started only by name
  retry: 10s          # between two attempts
  ready_timeout: 2min # for guest_ready

hooks:
  timeout: 60s        # the time box of one call
  on_failure: continue # or: skip_guest (do not ask this guest now), abort (a run by hand)
  pre_budget: 2min    # all of pre_shutdown together; at most a quarter of the deadline
  block: []           # plugins that are not loaded
  first: []
  last: []
  plugins: {}         # for single plugins: {name: {timeout: 5min, on_failure: skip_guest}}

paths:
  state: /var/lib/lastcall
  run: /run/lastcall
  hooks: /etc/lastcall/hooks.d

# What every guest gets.
defaults:
  manage: true        # false = somebody else's: listed, never touched
  stop: [acpi]        # the ladder; a step may carry options: {acpi: {timeout: 30s, resend: 10s}}
  timeout: 90s        # for a step that names none
  last_resort: destroy # or: save, leave; a run by hand leaves guests running unless forced
  transient: stop     # or: leave
  restore: true

# Rules: every one that matches applies, later ones win.
guests: []
#  - match: "db-*"
#    stop: [{acpi: {timeout: 5min}}, save]
#  - match: "scratch-*"
#    stop: [destroy]
#    restore: false
#  - match: "ha-*"
#    manage: false
"""

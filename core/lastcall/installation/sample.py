"""A commented configuration to start from. Every value is the built-in default, so that nothing changes by using it."""

SAMPLE = """\
# /etc/lastcall/config.yaml; further files in /etc/lastcall/conf.d/*.yaml are laid over it, in order of their names.
# Check it with `lastcall config check`, see what it does with `lastcall plan`. Durations: 90s, 4min, 1h30m.

# The libvirt connections whose guests are ours. One that may be missing: {uri: "lxc:///system", optional: true};
# further settings of one: timeout: 10s (to connect), reconnect: 1min (when it dies), parallel: 0. Another host, whose
# guests are waited for and never touched: {uri: "qemu+tls://hb/system", watch: true}
connections: [qemu:///system]

shutdown:
  deadline: 10min     # the whole run is over by then; none = no limit, in runs by hand only
  reserve: 30s        # kept of the deadline for the last resort (at most a third of it)
  grace: 30s          # before that, everybody not yet asked is asked (at most a quarter)
  parallel: 0         # guests moving at once, 0 = no limit
  fail_unit: false    # lastcall.service fails where a host stop forces a guest off or leaves it: for OnFailure=
  watch:              # of other hosts' guests that need one of ours
    wait: 1min        # how long they are waited for where they stay up
    reasons: [power]  # in which runs they are; host = in every host stop
  by_reason: {}       # what differs for single reasons: {power: {deadline: 90s, reserve: 20s}}

restore:
  policy: was-running # or: none
  deadline: 15min
  parallel: 4         # a slot is held until the guest is ready
  delay: 0s           # between one start and the next
  attempts: 3         # then the guest is parked, and started only by name
  retry: 10s          # between two attempts
  bad_image: park     # of a guest whose saved image does not load; or: fresh (without it: its memory is lost)
  sync_time: resumed  # set the clock of guests that were saved; or: always, never
  bypass_cache: false # read saved memory around the host's page cache
  ready_timeout: 2min # until a started guest is ready; those that need it wait for that

hooks:
  timeout: 60s        # the time box of one call
  on_failure: continue # or: skip_guest (do not ask this guest now), abort (a run by hand)
  pre_budget: 2min    # all of pre_shutdown together; at most a quarter of the deadline
  block: []           # plugins that are not loaded
  first: []
  last: []
  environment: {}     # for programs, beside PATH, LANG, HOME and LASTCALL_…: {PGHOST: db.example.org}
  plugins: {}         # for single plugins: {name: {timeout: 5min, on_failure: skip_guest}}
  reasons: {}         # the runs that their hooks are for: {"pre_shutdown/*": [host]}; else every one

runs:
  keep: 100           # run logs; the oldest go first
  size: 64MiB         # of all of them

paths:
  state: /var/lib/lastcall
  run: /run/lastcall
  hooks: /etc/lastcall/hooks.d

# What every guest gets.
defaults:
  manage: true        # false = somebody else's: listed, never touched
  stop: [agent, acpi] # the ladder; a step may carry options: {acpi: {timeout: 30s, resend: 10s}}
  timeout: 90s        # for a step that names none
  last_resort: destroy # or: leave, or a ladder: [save, destroy]; a run by hand leaves guests running unless forced
  depends_on: []      # guests that it needs: it stops before them and starts after them
  order: null         # a number: starts ascending, stops descending
  paused: save        # with its pause; or: resume, leave
  jobs: wait          # for a backup, dump or snapshot, as long as there is time; or: abort (it then)
  transient: stop     # or: leave
  restore: true       # or: false, always (at every boot, also after a crash)
  drill: false        # true: `lastcall drill` without names stops it and brings it back
  shed: never         # or, on battery: 5min, {after: 5min, below: 60%, runtime_below: 15min} (the first that holds)
  sleep: leave        # while the host sleeps; or: pause, save (and start it again afterwards)
  start_delay: 0s     # a restore waits so long before it starts it; others start meanwhile
  ready_timeout: null # else restore.ready_timeout
  shell: []           # how commands are run in guests: agent, ssh, or [agent, ssh]
  ready: null         # when it is ready after a start: {agent: true, tcp: 5432, command: "…", delay: 10s}

# Rules: every one that matches applies, later ones win.
guests: []
#  - match: "db-*"
#    stop: [{acpi: {timeout: 5min}}, save]
#    depends_on: [storage]
#  - match: "scratch-*"
#    stop: [destroy]
#    restore: false
#  - match: "ha-*"
#    manage: false

# Options of plugins, such as whom to tell of a host stop (docs/notify.md):
#plugins:
#  notify: {urls: /etc/lastcall/notify.urls}
"""

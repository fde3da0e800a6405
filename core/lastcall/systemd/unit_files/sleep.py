"""The unit for sleeps of the host."""

SLEEP_TEXT = """\
# Around every suspend and hibernate: before it guests are paused or saved whose key `sleep` says so, after it they go
# on, and the clocks of all are set. Started with sleep.target, and stopped with it: however the sleep went, and once
# for all of a suspend-then-hibernate. The host sleeps whatever becomes of this.

[Unit]
Description=Ready the guests of this host for its sleep
Documentation={documentation}
# Stopped before lastcall.service where a host stop comes at once: those that sleep are to go on, and be asked then.
After={service}
{after}
Before=sleep.target
StopWhenUnneeded=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-{program} sleep begin --from-unit
# Not ExecStop, which systemd leaves out where the start was cut off: nobody must stay paused.
ExecStopPost=-{program} sleep end --from-unit
# Both end long before; extended where `shutdown.by_reason` gives a sleep more.
TimeoutStartSec=80s
TimeoutStopSec=150s
NotifyAccess=exec
KillMode=mixed
SyslogIdentifier=lastcall

[Install]
WantedBy=sleep.target
"""

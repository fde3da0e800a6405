"""The units for the power: the watch of an outage, and the door for daemons that may say what is."""

OUTAGE_TEXT = """\
# Sheds guests while a battery carries the host, and brings them back once the mains have held. `lastcall power` starts
# it; it ends by itself.

[Unit]
Description=Watch an outage: shed guests, and bring them back
Documentation={documentation}
# It is stopped after that one: a shed run in it is joined by the host stop, and must not be killed meanwhile.
Before={service}
RequiresMountsFor={mounts}
# Whoever is killed goes on, however often.
StartLimitIntervalSec=0

[Service]
ExecStart={program} power watch
Restart=on-failure
RestartSec=5s
# What it has started is told by itself.
KillMode=mixed
TimeoutStopSec=30s
OOMScoreAdjust=-500
SyslogIdentifier=lastcall-outage
"""
SOCKET_TEXT = """\
# Takes the words line, battery and low from daemons that are not root, such as NUT's. `lastcall install --power-group
# GROUP` enables it for the members of a group; until then nobody but root could speak.

[Unit]
Description=Words about the power, for the last call
Documentation={documentation}
# A host that stops still wants to hear that the mains are back: nothing of this conflicts with that.
DefaultDependencies=no
After=sysinit.target
Before=sockets.target
# A flood ends it, as below; this starts it again.
OnFailure={again}
StartLimitIntervalSec=0

[Socket]
ListenStream={socket}
SocketMode=0660
SocketUser=root
SocketGroup=root
Accept=yes
MaxConnections=8
# A UPS has some words a minute to say. Beyond this systemd gives up listening instead of spending the host's time.
TriggerLimitIntervalSec=2s
TriggerLimitBurst=60

[Install]
WantedBy=sockets.target
"""
ANSWER_TEXT = """\
# Answers one word about the power, which came through lastcall-power.socket.

[Unit]
Description=A word about the power
Documentation={documentation}
# Also while the host stops: whatever this came after, or belonged to, would have to be stopped first.
DefaultDependencies=no
CollectMode=inactive-or-failed

[Service]
Slice=system.slice
ExecStart={program} power answer
StandardInput=socket
StandardOutput=journal
StandardError=journal
RuntimeMaxSec=30s
TimeoutStopSec=5s
KillMode=mixed
SyslogIdentifier=lastcall-power
"""
AGAIN_TEXT = """\
# Has lastcall-power.socket listen again some seconds after a flood of connections has ended that.

[Unit]
Description=Listen again for words about the power
Documentation={documentation}
DefaultDependencies=no
# What floods goes on with it, and has it start again and again.
StartLimitIntervalSec=0
CollectMode=inactive-or-failed

[Service]
Type=oneshot
ExecStart=/bin/sleep 5
ExecStart=systemctl start --no-block {socket_unit}
SyslogIdentifier=lastcall-power
"""

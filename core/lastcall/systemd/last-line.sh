#!/bin/sh
# The last line of lastcall, in plain sh and virsh: for when lastcall itself cannot run. Written by `lastcall install`.
#   stop STATE RUN   the end of every stop of lastcall.service: asks the guests, if lastcall has not answered
#   stamp STATE RUN  the end of every start of lastcall-stamp.service: lines at login, if that failed
set -u
list=$2/asked-by-virsh line=$3/motd.stamp end=$(cat "$2/deadline" 2>/dev/null) # seconds, as lastcall has left them
case $end in '' | *[!0-9]* | ???????*) end=600 ;; esac

now() { read -r up _ </proc/uptime && echo "${up%.*}"; }

running() { # URI: a line `URI UUID NAME` for each guest that runs; fails where there is no answer
    found=$(timeout -k 2 20 virsh -q -c "$1" list --uuid --name 2>/dev/null </dev/null) || return 1
    printf '%s\n' "$found" | while read -r uuid name; do [ -z "$uuid" ] || printf '%s\n' "$1 $uuid $name"; done
}

ask() { # URI UUID NAME
    why=$(timeout -k 2 20 virsh -q -c "$1" shutdown "$2" 2>&1 </dev/null) && echo "$3: asked by virsh" && return
    echo "$3: could not be asked by virsh: $why"
}

left() { # who runs still; where there is no answer any more, somebody may
    for uri in $uris; do running "$uri" || echo "$uri - whoever runs on $uri, which does not answer"; done
}

if [ "$1" = stamp ]; then
    [ "${SERVICE_RESULT:-}" != success ] || exec rm -f "$line"
    umask 022
    mkdir -p "$3"
    asked=$(grep -cs '' "$list") && asked="$asked guests that it did not stop were asked by virsh, and wait. " || asked=
    echo "lastcall: it failed at boot: guests may not be back, and the next host stop may be left to virsh." >"$line"
    echo "  $asked\`systemctl status lastcall lastcall-stamp\` says what it needs, and why it failed." >>"$line"
    exit 0
fi
[ "$(cat "$3/answered" 2>/dev/null)" != "${INVOCATION_ID:-unknown}" ] || exit 0
case $(timeout 5 systemctl is-system-running 2>/dev/null) in running | degraded | starting | initializing | maintenance)
    echo "lastcall could not run; the host does not stop: no guest is touched, and lastcall.service is started again"
    exec systemctl --no-block start lastcall.service
esac
end=$(($(now) + end)) guests='' uris=''
for uri in qemu:///system lxc:///system; do
    more=$(running "$uri") || echo "$uri: virsh gets no answer"
    [ -z "$more" ] || { uris="$uris $uri" guests="$guests$more
"; }
done
[ -n "$guests" ] || { echo "lastcall could not run; virsh finds no guest that runs" && exit 1; }
echo "lastcall could not run: virsh asks $(printf %s "$guests" | grep -c '') guests, and notes them in $list"
# Noted before they are asked: whatever happens now, they are brought back. An older note may not be taken over yet.
umask 077
mkdir -p "$2"
{ cat "$list" 2>/dev/null; printf %s "$guests"; } >"$list.new" && { sync "$list.new"; mv "$list.new" "$list"; }
printf %s "$guests" | while read -r uri uuid name; do ask "$uri" "$uuid" "$name" & done
while rest=$(left) && [ -n "$rest" ]; do
    [ "$(now)" -lt "$end" ] || break
    # systemd ends this script at TimeoutStopSec= otherwise; a minute is more than a look at guests takes that hangs.
    # Called by nothing in between: it speaks for its parent, and systemd listens to this script only.
    [ -z "${NOTIFY_SOCKET:-}" ] || systemd-notify --no-block EXTEND_TIMEOUT_USEC=60000000 2>/dev/null
    sleep 1
done
printf %s "${rest:+no time is left for
$rest
}"
echo "virsh has asked whom lastcall did not"
exit 1 # so that the unit says so, too

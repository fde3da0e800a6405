#!/bin/sh
# The last line of lastcall, in plain sh and virsh: for when lastcall itself cannot run.
#   stop STATE RUN   the end of every stop of lastcall.service: asks the guests, if lastcall has not answered
#   stamp STATE RUN  the end of every start of lastcall-stamp.service: lines at login, if that failed
# Files that it finds may be anything, and names are somebody else's text: both are bounded, no name is a format or an
# option, and none is echoed, as echo makes control characters of backslashes.
set -uf
trap '' PIPE # nobody has to listen for the guests to be asked
export LC_ALL=C # bytes, in whatever language a name is
verb=$1 state=$2 run=$3
list=$state/asked-by-virsh line=$run/motd.stamp most=1048576 # bytes of a list: some 10 000 guests

now() { read -r up _ </proc/uptime && echo "${up%.*}"; }

in_time() { # what a command says, for ten seconds. In the background: who waits for a dead disk cannot even be killed
    { (exec 2>/dev/null </dev/null && "$@") & } | timeout -k 2 10 cat
}

plain() { # BYTES FILE: the first bytes of a plain file
    [ -f "$2" ] && head -c "$1" "$2"
}

shown() { # text on one line that no terminal obeys: whatever else it has becomes question marks
    printf '%.1000s' "$*" | tr -c ' -~' '?'
}

say() { # in one write, as others speak at the same time
    text=$(shown "$*")
    printf '%s\n' "$text"
}

is_uuid() {
    case $1 in *[!0-9a-fA-F-]*) return 1 ;; ????????-????-????-????-????????????) ;; *) return 1 ;; esac
}

running() { # URI: a line `URI UUID NAME` for each guest that runs; fails where there is no answer
    found=$(timeout -k 2 20 virsh -q -c "$1" list --uuid --name 2>/dev/null </dev/null) || return 1
    printf '%s\n' "$found" | while read -r uuid name; do ! is_uuid "$uuid" || printf '%s\n' "$1 $uuid $name"; done
}

ask() { # URI UUID NAME
    why=$(timeout -k 2 20 virsh -q -c "$1" shutdown "$2" 2>&1 </dev/null) && say "$3: asked by virsh" && return
    say "$3: could not be asked by virsh: $why"
}

left() { # who runs still; where there is no answer any more, somebody may
    for uri in $uris; do running "$uri" || echo "$uri - whoever runs on $uri, which does not answer"; done
}

note() { # the guests, behind those of an earlier note that is not taken over yet
    umask 077
    mkdir -p "$state" && fresh=$(mktemp "$list.XXXXXX") || return
    if [ -f "$list" ] && [ "$(head -c "$((most + 1))" "$list" | wc -c)" -le "$most" ]; then
        cat "$list"
        [ -z "$(tail -c 1 "$list")" ] || echo # the end of a line that was cut off, which would spoil the next
    elif [ -e "$list" ] || [ -h "$list" ]; then
        mv -T "$list" "$list.odd-$(date +%Y%m%dT%H%M%S)" # no list of ours, and yet somebody may miss it
    fi >"$fresh"
    printf %s "$guests" >>"$fresh" && { sync "$fresh"; mv -T "$fresh" "$list"; } && echo noted || rm -f "$fresh"
}

if [ "$verb" = stamp ]; then
    rm -f "$line" # what stands there may be a pipe, or a link to somewhere else
    [ "${SERVICE_RESULT:-}" != success ] || exit 0
    umask 022
    mkdir -p "$run"
    asked=$(in_time plain "$most" "$list" | wc -l)
    [ "$asked" -gt 0 ] && asked="$asked guests that it did not stop were asked by virsh, and wait. " || asked=
    echo "lastcall: it failed at boot: guests may not be back, and the next host stop may be left to virsh." >"$line"
    echo "  $asked\`systemctl status lastcall lastcall-stamp\` says what it needs, and why it failed." >>"$line"
    exit 0
fi
case $(in_time plain 64 "$run/answered" | tr -d '\000') in
"${INVOCATION_ID:-unknown}") exit 0 ;;
"${INVOCATION_ID:-unknown} failed") exit 1 ;; # a guest was forced off or left, and shutdown.fail_unit wants to know
esac
case $(timeout 5 systemctl is-system-running 2>/dev/null) in running | degraded | starting | initializing | maintenance)
    echo "lastcall could not run; the host does not stop: no guest is touched, and lastcall.service is started again"
    exec systemctl --no-block start lastcall.service
esac
end=$(in_time plain 8 "$state/deadline" | tr '\000' x) # seconds, as lastcall has left them
# With a 0 in front it would be octal to the shell, and 08 the end of this script.
case $end in '' | 0* | *[!0-9]* | ???????*) end=600 ;; esac
end=$(($(now) + end)) guests='' uris=''
for uri in qemu:///system lxc:///system; do
    more=$(running "$uri") || echo "$uri: virsh gets no answer"
    [ -z "$more" ] || { uris="$uris $uri" guests="$guests$more
"; }
done
[ -n "$guests" ] || { echo "lastcall could not run; virsh finds no guest that runs"; exit 1; }
say "lastcall could not run: virsh asks $(printf %s "$guests" | grep -c '^') guests, and notes them in $list"
# Noted before they are asked: whatever happens now, they are brought back.
[ -n "$(in_time note)" ] || say "they cannot be noted in $list, and do not come back by themselves"
printf %s "$guests" | { while read -r uri uuid name; do ask "$uri" "$uuid" "$name" & done; wait; } &
while rest=$(left) && [ -n "$rest" ]; do
    [ "$(now)" -lt "$end" ] || break
    # systemd ends this script at TimeoutStopSec= otherwise; a minute is more than a look at guests takes that hangs.
    # Called by nothing in between: it speaks for its parent, and systemd listens to this script only.
    [ -z "${NOTIFY_SOCKET:-}" ] || systemd-notify --no-block EXTEND_TIMEOUT_USEC=60000000 2>/dev/null
    sleep 1
done
wait # with the end of this script systemd kills those that have not asked yet
[ -z "$rest" ] || printf 'no time is left for\n%s\n' "$rest" | tr -c '\n -~' '?'
echo "virsh has asked whom lastcall did not"
exit 1 # so that the unit says so, too

#!/bin/sh
# Has lastcall ($1) judge a configuration (standard input) as if it were /etc/lastcall/config.yaml, whose conf.d is laid
# over it. Not there: what is found in that folder is used by the next run, also by one that starts meanwhile.
real=/etc/lastcall
trial=$(mktemp -d) || exit
trap 'rm -rf "$trial"' EXIT
cat >"$trial/config.yaml" || exit
[ ! -d $real/conf.d ] || cp -a $real/conf.d "$trial/" || exit
said=$("$1" --config "$trial/config.yaml" config check 2>&1)
code=$?
printf '%s\n' "$said" | sed "s,$trial/,$real/,g"
exit $code

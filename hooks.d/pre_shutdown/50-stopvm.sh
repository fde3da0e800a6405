#!/bin/sh
# lastcall: reasons=host
# Sample executable drop-in: what a hand-written stopvm.sh did, and one line that keeps it to host stops. Without that
# line it would fire as well where one guest is stopped by hand. It is not run in a rehearsal, as it does not say that it
# knows what one is. lastcall counts a guest that goes off by it as stopped, and brings it back.
command -v virsh >/dev/null || { echo "there is no virsh here"; exit 75; }
virsh shutdown router
sleep 5

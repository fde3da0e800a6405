#!/bin/sh
# Sample executable drop-in: what a hand-written stopvm.sh did, unchanged. lastcall counts a guest that goes off by it as
# stopped, and brings it back.
virsh shutdown router
sleep 5

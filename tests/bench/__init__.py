"""`make bench`: lastcall and Debian's libvirt-guests.sh side by side, in one run on one machine."""

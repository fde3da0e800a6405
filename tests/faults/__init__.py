"""Faults on the way between lastcall and libvirtd, and an independent client that judges what a run says of them."""

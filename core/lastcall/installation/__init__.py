"""Putting lastcall on duty on a host, and taking over from libvirt-guests."""

"""Puts a run together: the only rooms that know configuration, plugins and libvirt at once."""

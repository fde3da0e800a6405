"""Builds what the tests run on: a tiny Linux guest, and a private libvirtd to run it."""

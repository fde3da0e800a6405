"""What `lastcall plugins new` writes: a package of a plugin, or a drop-in, with tests."""

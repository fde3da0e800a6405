"""Which lastcall this is; here, as to look it up in what is installed takes as long as the rest of `--version`."""

__version__ = "0.2.0"

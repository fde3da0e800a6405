"""The two pluggy markers of the project `lastcall`."""

import pluggy

PROJECT = "lastcall"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

"""One file per subcommand; each returns its exit code."""

from collections.abc import Mapping, Sequence
from itertools import chain

SECTIONS: Mapping[str, Sequence[str]] = {
    "Look": ("status", "plan", "check", "report", "runs", "demo"),
    "Run": ("shutdown", "restore", "drill", "shed", "announce", "power", "forget", "maintenance", "lock", "reboot"),
    "Set up": ("install", "uninstall", "config", "guest", "plugins", "hook"),
    "Plumbing": ("stamp", "sleep"),
}
"""How `lastcall --help` sorts them."""

COMMANDS = tuple(chain.from_iterable(SECTIONS.values()))

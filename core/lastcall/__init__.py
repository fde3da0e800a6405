"""lastcall: the public API for plugin authors.

Everything a plugin needs is here, in `lastcall.options` (the pydantic bases for a plugin's own options) and in
`lastcall.testing`. A name is loaded when it is first used; all of them load the standard library and pluggy only.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastcall.api.command_line import CommandLine
    from lastcall.api.guest_keys import GuestHooks, GuestSettings, GuestShedding
    from lastcall.api.guests import Ended, Guest, GuestState, Outcome, Reason, RunKind
    from lastcall.api.markers import hookimpl
    from lastcall.api.naming.guest_names import GuestNames
    from lastcall.api.power import PowerPolicy, PowerWord, Supply
    from lastcall.api.results import (
        Attempt,
        CheckFindings,
        EarlierStop,
        GuestResult,
        HookRecord,
        PlannedRung,
        PlannedStop,
        Report,
        RunFacts,
        StopForecast,
        Verdict,
    )
    from lastcall.api.run import AddressSource, Domain, Json, PluginOptions, Run
    from lastcall.api.shell import Command, CommandResult, GuestShell, Shell, ShellSession
    from lastcall.api.stopping import StopMethod, StopRequest
    from lastcall.errors import (
        AmbiguousGuest,
        CallExpired,
        CommandFailed,
        CommandTimeout,
        HookFailed,
        HypervisorError,
        LastcallError,
        NoShell,
        OnFailure,
        Problem,
        Severity,
        ShellError,
        ShellLost,
        ShellRefused,
        ShellUnreachable,
        Skip,
        UnknownGuest,
    )
    from lastcall.formats.decoding import from_json
    from lastcall.formats.secret_text import SecretText, masked
    from lastcall.formats.version import __version__ as __version__  # as itself: else it is not meant for others
    from lastcall.formats.visible_text import visible
    from lastcall.persistence.text_file import TextFile

_HOMES = {
    "lastcall.api.command_line": ("CommandLine",),
    "lastcall.api.guest_keys": ("GuestHooks", "GuestSettings", "GuestShedding"),
    "lastcall.api.guests": (
        "Ended",
        "Guest",
        "GuestState",
        "Outcome",
        "Reason",
        "RunKind",
    ),
    "lastcall.api.markers": ("hookimpl",),
    "lastcall.api.naming.guest_names": ("GuestNames",),
    "lastcall.api.power": ("PowerPolicy", "PowerWord", "Supply"),
    "lastcall.api.results": (
        "Attempt",
        "CheckFindings",
        "EarlierStop",
        "GuestResult",
        "HookRecord",
        "PlannedRung",
        "PlannedStop",
        "Report",
        "RunFacts",
        "StopForecast",
        "Verdict",
    ),
    "lastcall.api.run": (
        "AddressSource",
        "Domain",
        "Json",
        "PluginOptions",
        "Run",
    ),
    "lastcall.api.shell": (
        "Command",
        "CommandResult",
        "GuestShell",
        "Shell",
        "ShellSession",
    ),
    "lastcall.api.stopping": (
        "StopMethod",
        "StopRequest",
    ),
    "lastcall.errors": (
        "AmbiguousGuest",
        "CallExpired",
        "CommandFailed",
        "CommandTimeout",
        "HookFailed",
        "HypervisorError",
        "LastcallError",
        "NoShell",
        "OnFailure",
        "Problem",
        "Severity",
        "ShellError",
        "ShellLost",
        "ShellRefused",
        "ShellUnreachable",
        "Skip",
        "UnknownGuest",
    ),
    "lastcall.formats.decoding": ("from_json",),
    "lastcall.formats.secret_text": ("SecretText", "masked"),
    "lastcall.formats.version": ("__version__",),
    "lastcall.formats.visible_text": ("visible",),
    "lastcall.persistence.text_file": ("TextFile",),
}


def __getattr__(name: str) -> object:
    """Load a name of the API: a program that only looks at a file should not pay for all of them."""
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'lastcall' has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(home), name)
    return globals()[name]


def __dir__() -> list[str]:
    """The names of the API, loaded or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "AddressSource",
    "AmbiguousGuest",
    "Attempt",
    "CallExpired",
    "CheckFindings",
    "Command",
    "CommandFailed",
    "CommandLine",
    "CommandResult",
    "CommandTimeout",
    "Domain",
    "EarlierStop",
    "Ended",
    "Guest",
    "GuestHooks",
    "GuestNames",
    "GuestResult",
    "GuestSettings",
    "GuestShedding",
    "GuestShell",
    "GuestState",
    "HookFailed",
    "HookRecord",
    "HypervisorError",
    "Json",
    "LastcallError",
    "NoShell",
    "OnFailure",
    "Outcome",
    "PlannedRung",
    "PlannedStop",
    "PluginOptions",
    "PowerPolicy",
    "PowerWord",
    "Problem",
    "Reason",
    "Report",
    "Run",
    "RunFacts",
    "RunKind",
    "SecretText",
    "Severity",
    "Shell",
    "ShellError",
    "ShellLost",
    "ShellRefused",
    "ShellSession",
    "ShellUnreachable",
    "Skip",
    "StopForecast",
    "StopMethod",
    "StopRequest",
    "Supply",
    "TextFile",
    "UnknownGuest",
    "Verdict",
    "from_json",
    "hookimpl",
    "masked",
    "visible",
]

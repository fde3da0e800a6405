"""lastcall: the public API for plugin authors.

Everything a plugin needs is here, in `lastcall.options` (the pydantic bases for a plugin's own options) and in
`lastcall.testing`. Importing this package loads the standard library and pluggy only.
"""

from lastcall.api.guests import Ended, Guest, GuestState, Outcome, Reason, RunKind
from lastcall.api.markers import hookimpl, hookspec
from lastcall.api.results import Attempt, GuestResult, HookRecord, Report, RunFacts, Verdict
from lastcall.api.run import Domain, Json, PluginOptions, Run
from lastcall.api.shell import Command, CommandResult, GuestShell, Shell, ShellSession
from lastcall.api.stopping import StopMethod, StopRequest
from lastcall.errors import (
    CallExpired,
    CommandFailed,
    CommandTimeout,
    HookFailed,
    HypervisorError,
    LastcallError,
    NoShell,
    Problem,
    Severity,
    ShellError,
    ShellLost,
    ShellRefused,
    ShellUnreachable,
    Skip,
)

__all__ = [
    "Attempt",
    "CallExpired",
    "Command",
    "CommandFailed",
    "CommandResult",
    "CommandTimeout",
    "Domain",
    "Ended",
    "Guest",
    "GuestResult",
    "GuestShell",
    "GuestState",
    "HookFailed",
    "HookRecord",
    "HypervisorError",
    "Json",
    "LastcallError",
    "NoShell",
    "Outcome",
    "PluginOptions",
    "Problem",
    "Reason",
    "Report",
    "Run",
    "RunFacts",
    "RunKind",
    "Severity",
    "Shell",
    "ShellError",
    "ShellLost",
    "ShellRefused",
    "ShellSession",
    "ShellUnreachable",
    "Skip",
    "StopMethod",
    "StopRequest",
    "Verdict",
    "hookimpl",
    "hookspec",
]

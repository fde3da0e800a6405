"""What plugin authors test with: a host whose guests exist in memory only, on a clock that jumps.

def test_tells_people(lastcall_lab):
    lab = lastcall_lab(plugins={"mine": my_plugin})
    db = lab.guest("db-1", takes=30)
    db.shell.answers({"wall *": ""})
    report = lab.shutdown()
    assert report.guests[0].outcome == "stopped"
    assert db.shell.calls == ["wall 'down in a minute'"]
"""

from lastcall.testing.command import CommandOutcome
from lastcall.testing.conformance import NotConforming, check_shell_provider, check_stop_method
from lastcall.testing.failures import BlockedInRealTime, LabFailure, PluginUnusable
from lastcall.testing.guest import LabGuest
from lastcall.testing.lab import Lab
from lastcall.testing.shell import AnsweringShell, Says, ShellCall, UnansweredCommand

__all__ = [
    "AnsweringShell",
    "BlockedInRealTime",
    "CommandOutcome",
    "Lab",
    "LabFailure",
    "LabGuest",
    "NotConforming",
    "PluginUnusable",
    "Says",
    "ShellCall",
    "UnansweredCommand",
    "check_shell_provider",
    "check_stop_method",
]

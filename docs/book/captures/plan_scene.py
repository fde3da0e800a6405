"""`lastcall plan` on the host of the page in Cockpit: twelve guests with their past."""

import io
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from book.cockpit.sample_host import sample_host
from lastcall.cli.invocation import Invocation
from lastcall.cli.main import run
from lastcall.cli.terminal.screens import Wish
from lastcall.formats.layout.screen import Screen

COMMAND = "lastcall plan"
WIDTH = 100
_CONFIG = "/etc/lastcall/config.yaml"


def plan(runs: Path) -> str:
    """What it prints on a terminal, with its colours. `runs`: the past."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="lastcall-plan-") as name:
        host = Path(name).resolve() / "host"
        sample_host(host, runs)
        with redirect_stdout(printed):
            run(["--config", str(host / "config.yaml"), "--color", "always", "plan"], Invocation(screens=_screen))
    return f"$ {COMMAND}\n{printed.getvalue()}".replace(str(host / "config.yaml"), _CONFIG)


def _screen(_descriptor: int, wish: Wish) -> Screen:
    return Screen(width=WIDTH, coloured=wish == "always")

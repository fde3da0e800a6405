"""How lastcall was called: the global options, and since when the program runs."""

import time
from dataclasses import field
from pathlib import Path

from lastcall.formats.values import value


@value
class Invocation:
    """The global options."""

    config: Path | None = None
    verbose: bool = False
    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

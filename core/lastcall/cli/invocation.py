"""How lastcall was called: the global options, and since when the program runs."""

import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options."""

    config: Path | None = None
    verbose: bool = False
    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

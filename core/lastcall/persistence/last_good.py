"""The last configuration that was valid: what a host stop uses when the present one is broken."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lastcall.config.load import Document, read_texts
from lastcall.config.settings import PathSettings
from lastcall.persistence.files import write_whole

VERSION = 1


class LastGood:
    """`last-good.json` (mode 0600) in the default state folder, wherever the configuration wants its state to be."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or PathSettings().state / "last-good.json"

    def remember(self, files: Sequence[Path]) -> None:
        """Keep the texts of these files. What cannot be kept is not: a run must not fail by it."""
        try:
            texts = {str(file): file.read_text(encoding="utf-8") for file in files}
            content = json.dumps({"version": VERSION, "files": texts}, indent=1)
            # Written only when it differs: every run reads its configuration, and this write waits for the disk.
            if not self.path.exists() or self.path.read_text(encoding="utf-8") != content:
                write_whole(self.path, content)
        except (OSError, UnicodeDecodeError):
            return

    def recall(self) -> Document | None:
        """The configuration as it was; None where none was remembered, or nothing can be made of it."""
        try:
            content: Any = json.loads(self.path.read_text(encoding="utf-8"))
            texts = {Path(file): str(text) for file, text in content["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return read_texts(texts)

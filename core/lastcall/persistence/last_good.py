"""The last configuration with which a connection was opened: what a host stop uses when the present one is broken."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lastcall.config.load import Document, read_texts
from lastcall.config.settings import PathSettings
from lastcall.formats.decoding import from_json
from lastcall.formats.reading import read_text
from lastcall.persistence.files import write_whole

VERSION = 1
LARGEST = 16 << 20  # bytes; JSON takes up to three of them for one of a text


class LastGood:
    """`last-good.json` (mode 0600) in the default state folder, wherever the configuration wants its state to be."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or PathSettings().state / "last-good.json"

    def remember(self, texts: Mapping[Path, str]) -> None:
        """Keep the texts of these files. Blocks. What cannot be kept is not: a run must not fail by it."""
        try:
            content = json.dumps({"version": VERSION, "files": {str(file): texts[file] for file in texts}}, indent=1)
            # Written only when it differs: every run reads its configuration, and this write waits for the disk.
            if self._text() != content:
                write_whole(self.path, content)
        except (OSError, ValueError):
            return

    def recall(self) -> Document:
        """The configuration as it was. Raises all sorts of things where none was remembered, or it is damaged."""
        content: Any = from_json(read_text(self.path, LARGEST, trusted=True))
        return read_texts({Path(file): str(text) for file, text in content["files"].items()})

    def _text(self) -> str | None:
        """What is kept; None where that is no good."""
        try:
            return read_text(self.path, LARGEST, trusted=True)
        except (OSError, UnicodeDecodeError):
            return None

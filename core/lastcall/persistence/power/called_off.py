"""That somebody has called off the shedding of an outage: nobody else is shed in it."""

import json
import time
from pathlib import Path
from typing import Any

from lastcall.formats.decoding import from_json
from lastcall.formats.reading import read_text
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, SMALL, public_folder, write_whole
from lastcall.persistence.refusals import refusals_told


class CalledOff:
    """`<paths.run>/shed-called-off.json`: when somebody did so last in this boot, on the monotonic clock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shed-called-off.json"

    def note(self) -> None:
        """It is called off now. Raises NoPermission."""
        with refusals_told(self.path):
            public_folder(self.path.parent)
            text = json.dumps({"boot": boot_id(), "at": time.monotonic()})
            write_whole(self.path, text, sync=False, mode=READERS)

    def counts_for(self, since: float) -> bool:
        """Whether it was in an outage that has lasted since then. What cannot be read says no."""
        try:
            found: Any = from_json(read_text(self.path, SMALL))
            return bool(found["boot"] == boot_id() and float(found["at"]) >= since)
        except (OSError, ValueError, KeyError, TypeError):
            return False

"""The charge of a battery that a restore waits for just now, as it says itself to whoever looks."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, SMALL, public_folder, write_whole

LIFETIME = 60.0  # seconds after which whoever wrote it is gone: it writes again and again while it waits


@value
class AwaitedCharge:
    """In per cent: what there is, and what there has to be. `at` on the monotonic clock."""

    charge: float
    wanted: float
    boot: str
    at: float

    def __str__(self) -> str:
        return charge_words(self.charge, self.wanted)


class ChargeNote:
    """`<paths.run>/charge.json`. All but `read` raise OSError."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "charge.json"

    def put(self, charge: float, wanted: float) -> None:
        """Note it."""
        public_folder(self.path.parent)
        noted = AwaitedCharge(charge, wanted, boot_id(), time.monotonic())
        write_whole(self.path, json.dumps(asdict(noted)), sync=False, mode=READERS)

    def remove(self) -> None:
        """Nobody waits any more."""
        self.path.unlink(missing_ok=True)

    def read(self) -> AwaitedCharge | None:
        """What is waited for; None where nobody waits."""
        try:
            noted = decoded(AwaitedCharge, from_json(read_text(self.path, SMALL)))
        except (OSError, ValueError):
            return None
        return noted if noted.boot == boot_id() and 0 <= time.monotonic() - noted.at < LIFETIME else None


def charge_words(charge: float, wanted: float) -> str:
    """What is waited for, in words."""
    return f"waits for {wanted:.0f} % charge: {charge:.0f} %"

"""Whether lastcall is on duty: the unit has been started in this boot, so that the next host stop is served."""

import math
import time
from pathlib import Path

from lastcall.formats.reading import read_text
from lastcall.persistence.files import PUBLIC, SMALL, write_whole

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The kernel's id of this boot."""
    try:
        return BOOT_ID.read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


class BootStamp:
    """`<paths.run>/on-duty`: the id of the boot, and once the host stops the end of that run on the monotonic clock.

    Raises OSError where it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "on-duty"

    @property
    def on(self) -> bool:
        """Say whether."""
        return self._words()[:1] == [boot_id()]

    @property
    def left(self) -> float:
        """Seconds that a run which has begun and was cut off still has; none where none has begun, or all is done."""
        _, *ends = self._words() or [""]
        try:
            left = float(ends[0]) - time.monotonic() if ends and self.on else 0.0
        except ValueError:
            return 0.0
        return max(0.0, left) if math.isfinite(left) else 0.0

    def begin(self) -> None:
        """The unit was started."""
        self._write(boot_id())

    def stop_by(self, ends: float) -> None:
        """The host stops, and the run that goes with it is over by then."""
        # On the monotonic clock, which all processes of a boot share: setting the time must not change the deadline.
        if ends < math.inf:
            self._write(f"{boot_id()} {ends:.3f}")

    def end(self) -> None:
        """Everything is done."""
        self.path.unlink(missing_ok=True)

    def _words(self) -> list[str]:
        try:
            return read_text(self.path, SMALL).split()
        except (OSError, UnicodeDecodeError):
            return []

    def _write(self, text: str) -> None:
        # Whoever is killed just now leaves the old word, or the new one; everybody may ask whether lastcall is on duty.
        write_whole(self.path, f"{text}\n", sync=False, mode=PUBLIC)

"""Whether lastcall is on duty: the unit has been started in this boot, so that the next host stop is served."""

from pathlib import Path

from lastcall.state import boot_id


class Duty:
    """`<paths.run>/on-duty` holds the id of the boot. Raises OSError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "on-duty"

    @property
    def on(self) -> bool:
        """Say whether."""
        try:
            return self.path.read_text(encoding="ascii").strip() == boot_id()
        except (OSError, UnicodeDecodeError):
            return False

    def begin(self) -> None:
        """The unit was started."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.path.write_text(f"{boot_id()}\n", encoding="ascii")

    def end(self) -> None:
        """The unit was stopped."""
        self.path.unlink(missing_ok=True)

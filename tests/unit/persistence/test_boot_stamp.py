"""Whether lastcall is on duty, and whether a run that was cut off has time left."""

import time
from pathlib import Path

from lastcall.persistence.boot_stamp import BootStamp, boot_id


def test_on_duty_is_for_this_boot(tmp_path: Path) -> None:
    duty = BootStamp(tmp_path / "run")
    assert not duty.on
    duty.begin()
    assert duty.on
    duty.path.write_text("another boot\n")
    assert not duty.on
    duty.begin()
    assert duty.left == 0, "no run has begun"
    began = time.monotonic()
    duty.stop_by(began + 50)
    assert duty.on
    left = duty.left
    assert 49.9 - (time.monotonic() - began) < left < 50.1
    duty.stop_by(time.monotonic() - 1)
    assert duty.left == 0, "never past the deadline"
    duty.path.write_text(f"{boot_id()} soon\n")
    assert duty.left == 0
    duty.end()
    assert (duty.on, duty.left) == (False, 0)

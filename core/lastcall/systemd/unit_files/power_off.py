"""The drop-in by which a power-off that is under way ends in a reboot."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from lastcall.errors import LastcallError

if TYPE_CHECKING:
    from lastcall.systemd.systemctl import Systemctl

# In /run, which the reboot takes away: the next power-off is one.
DROP_IN = Path("run/systemd/system/systemd-poweroff.service.d/50-lastcall.conf")
TEXT = """\
# Written by lastcall while this host powers off, as its mains are back: it reboots instead.
[Unit]
SuccessAction=reboot-force
"""


def reboot_instead(root: Path = Path("/"), systemctl: "Systemctl | None" = None) -> None:
    """Have systemd reboot the host at the end of the power-off; in bounded time. Raises OSError, SystemctlFailed."""
    from lastcall.systemd.systemctl import Systemctl  # here: `status` only looks for the file

    path = root / DROP_IN
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_text(TEXT, encoding="ascii")
        (systemctl or Systemctl()).ask("daemon-reload")
    except (OSError, LastcallError):
        # What was not loaded now must not be by a reload of somebody else, as it was told of as failed.
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def reboots_instead(root: Path = Path("/")) -> bool:
    """Whether it is to be so."""
    return (root / DROP_IN).exists()

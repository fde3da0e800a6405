"""Whether a UPS daemon is going to have the UPS cut the power at the very end of a power-off that it has begun."""

from pathlib import Path

from lastcall import LastcallError, Run
from lastcall_plugins.power.upsmon import find_folder, read_upsmon

KILLPOWER = "/etc/killpower"  # as upsmon has it
POWERFAIL = Path("/etc/apcupsd/powerfail")


def ups_cuts_power(run: Run) -> bool:
    """By the flag of NUT, wherever POWERDOWNFLAG puts it, or that of apcupsd."""
    return Path(_flag(run)).exists() or POWERFAIL.exists()


def _flag(run: Run) -> str:
    folder = find_folder(run.environment().get("NUT_CONFPATH"))
    try:
        return read_upsmon(folder).values.get("POWERDOWNFLAG", KILLPOWER) if folder else KILLPOWER
    except LastcallError:
        return KILLPOWER

"""What `maintenance` prints."""

from lastcall.api.results import Report
from lastcall.formats.values import value


@value(kw_only=True)
class MaintenanceDocument:
    """Since when (RFC 3339) guests stay away from now on, null = they do not; and the run that this call has made, if
    it was not told to make none, or nothing has changed.
    """

    version: int = 1
    since: str | None
    report: Report | None = None

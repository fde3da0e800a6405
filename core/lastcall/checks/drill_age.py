"""Whether those that are marked for drills have had one of late."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.report.drills.last_drill import drill_words, last_drill
from lastcall.report.run_history import local_time

OLD = timedelta(days=92)


def drill_age(state: Path, guests: Iterable[Guest], policies: Policies) -> str:
    """What there is to say; nothing where nobody is marked, or a drill was not long ago. For information only."""
    marked = sum(policies.of(guest).drill for guest in guests)
    if not marked:
        return ""
    try:
        last = last_drill(state)
    except OSError:
        return ""
    if last is None:
        return f"{marked} guest{' is' if marked == 1 else 's are'} marked for drills, and there was none yet"
    return drill_words(last) if datetime.now().astimezone() - local_time(last.started) > OLD else ""

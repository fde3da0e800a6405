"""Why lastcall is not on duty: what systemd says of its unit, in words and with what to do."""

import pytest

from fake_systemctl import ACTIVE, GUESTS_ON_DUTY, FakeSystemctl
from lastcall.errors import Problem
from lastcall.systemd.duty import doubts_of_duty
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import GUESTS_DROP_IN, LIBVIRT_GUESTS, SERVICE

OFF = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "enabled"}


def doubts(own: dict[str, str] | None, guests: dict[str, str] | None = None, *, stamped: bool = False) -> list[Problem]:
    units = {name: shown for name, shown in ((SERVICE, own), (LIBVIRT_GUESTS, guests)) if shown is not None}
    return list(doubts_of_duty(FakeSystemctl(units), stamped=stamped))


@pytest.mark.parametrize(
    ("own", "stamped", "why", "remedy"),
    [
        (None, False, "is not installed", "`lastcall install`"),
        ({"LoadState": "masked", "UnitFileState": "masked"}, False, "is masked", "`systemctl unmask lastcall.service`"),
        ({**ACTIVE, "UnitFileState": "masked-runtime"}, True, "is masked", "`systemctl unmask lastcall.service`"),
        ({**OFF, "LoadState": "bad-setting"}, False, "cannot be loaded (bad-setting)", "systemctl status"),
        ({**OFF, "UnitFileState": "disabled"}, False, "is disabled", "`lastcall install`"),
        ({**OFF, "UnitFileState": ""}, False, "is not enabled", "`lastcall install`"),
        (OFF, False, "was not started in this boot", "`systemctl start lastcall.service`"),
        ({**OFF, "ActiveExitTimestampMonotonic": "0"}, False, "was not started in this boot", "systemctl start"),
        ({**OFF, "ActiveExitTimestampMonotonic": "77"}, False, "was stopped by hand", "systemctl start"),
        ({**OFF, "ActiveState": "failed"}, False, "is failed", "systemctl start"),
        (ACTIVE, False, "is active, and could not note that it is", "`systemctl status lastcall-stamp.service`"),
        ({**ACTIVE, "UnitFileState": "disabled"}, True, "is disabled: it does not serve the next boot", "enable"),
    ],
)
def test_it_says_why_and_what_helps(own: dict[str, str] | None, stamped: bool, why: str, remedy: str) -> None:
    (found,) = doubts(own, stamped=stamped)
    assert (found.where, found.message) == (SERVICE, why)
    assert remedy in found.remedy


def test_where_all_is_well_it_says_nothing() -> None:
    assert doubts(ACTIVE, stamped=True) == []


def test_libvirt_guests_beside_it_is_named_and_one_that_is_off_or_has_nothing_to_run_is_not() -> None:
    (found,) = doubts(ACTIVE, GUESTS_ON_DUTY, stamped=True)
    assert (found.where, "--take-over" in found.remedy) == (LIBVIRT_GUESTS, True)
    assert [one.where for one in doubts(None, GUESTS_ON_DUTY)] == [SERVICE, LIBVIRT_GUESTS]
    assert (
        doubts(ACTIVE, {**GUESTS_ON_DUTY, "ActiveState": "inactive", "UnitFileState": "disabled"}, stamped=True) == []
    )
    harmless = {**ACTIVE, "DropInPaths": f"/{GUESTS_DROP_IN}"}
    assert doubts(ACTIVE, harmless, stamped=True) == []


def test_a_systemd_that_does_not_answer_is_a_doubt_and_nothing_is_claimed_of_the_unit() -> None:
    class Silent(Systemctl):
        def ask(self, *words: str) -> str:
            raise SystemctlFailed("systemctl: no answer within 5 s")

    (found,) = doubts_of_duty(Silent(), stamped=True)
    assert (found.what, found.message) == ("systemd", "systemctl: no answer within 5 s")

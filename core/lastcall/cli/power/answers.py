"""What plugins have said of the power."""

from lastcall.api.power import PowerPolicy, Supply
from lastcall.formats.values import value


@value
class PowerAnswers:
    """What the site wants, and what its UPSes say now; `problem`: why nobody answered, if so."""

    policy: PowerPolicy = PowerPolicy()
    supplies: tuple[Supply, ...] = ()
    problem: str = ""

"""The firing order, as design has it."""

from hypothesis import given
from hypothesis import strategies as st

from lastcall.hooks.order import Position, firing_order
from lastcall.hooks.sources import Origin, Source


def position(name: str, origin: Origin = Origin.PACKAGE, *, first: bool = False, last: bool = False) -> Position:
    return Position(Source(name=name, origin=origin, where="", sort_key=name), tryfirst=first, trylast=last)


SOME = [
    position("zeta"),
    position("20-b", Origin.DROPIN),
    position("eager", first=True),
    position("alpha"),
    position("10-a", Origin.DROPIN),
    position("late", Origin.DROPIN, last=True),
    position("named-last"),
    position("named-first"),
]


def names(hook: str) -> list[str]:
    order = firing_order(hook, SOME, first=["named-first"], last=["named-last"])
    return [SOME[index].source.name for index in order]


def test_a_shutdown_fires_first_tryfirst_dropins_packages_trylast_last() -> None:
    expected = ["named-first", "eager", "10-a", "20-b", "alpha", "zeta", "late", "named-last"]
    assert names("pre_shutdown") == expected


def test_a_restore_reverses_dropins_and_packages_and_swaps_the_two() -> None:
    expected = ["named-first", "eager", "zeta", "alpha", "20-b", "10-a", "late", "named-last"]
    assert names("post_restore") == expected


@given(st.permutations(range(len(SOME))))
def test_the_order_in_which_plugins_were_found_does_not_matter(found: list[int]) -> None:
    shuffled = [SOME[index] for index in found]
    order = firing_order("on_guest_stop", shuffled, first=["named-first"], last=["named-last"])
    assert [shuffled[index].source.name for index in order] == names("on_guest_stop")

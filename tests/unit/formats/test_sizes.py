"""Sizes as people write them."""

import pytest

from lastcall.formats.quantities import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [("64MiB", 64 << 20), ("64 MiB", 64 << 20), ("500kB", 500_000), ("2GiB", 2 << 30), ("17", 17), (17, 17)],
)
def test_a_size_has_a_unit_or_is_in_bytes(text: object, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "MiB", "1.5MiB", "64mib", "-1", True, None, 1.5, "9" * 5000, "1MiB1", []])
def test_what_is_no_size_is_refused_with_a_hint(text: object) -> None:
    with pytest.raises(ValueError, match="write a size such as 64MiB"):
        parse_size(text)


def test_sizes_are_shown_in_the_largest_unit_that_fits() -> None:
    assert [format_size(count) for count in (5, 1024, 16 << 20, 3 << 29)] == ["5 B", "1 KiB", "16 MiB", "1.5 GiB"]

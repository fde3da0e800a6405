"""What the documentation shows of a terminal is what the program shows there today."""

from book.live_view import capture, in_page, without_times


def test_the_live_view_of_the_page_is_the_programs() -> None:
    shown = capture()
    assert without_times(shown) == without_times(in_page()), "`make pictures` takes it anew"
    assert "░" in shown
    assert "Ctrl-C: " in shown

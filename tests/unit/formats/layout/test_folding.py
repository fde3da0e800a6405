"""Lists of names in few words: those that differ in numbers alone are one."""

from lastcall.formats.layout.folding import fold_names
from lastcall.formats.layout.screen import PLAIN, Screen

SCREEN = Screen(width=80)


def test_many_names_that_differ_in_a_number_are_one_word() -> None:
    names = [f"db-{one}" for one in range(1, 41)]
    assert fold_names(["web-2", *names, "web-1"], SCREEN) == "db-* (40), web-1, web-2"


def test_a_number_that_all_of_them_have_is_kept() -> None:
    names = [f"rack1-db-{one}.example.org" for one in range(20)]
    assert fold_names(names, SCREEN) == "rack1-db-*.example.org (20)"
    assert fold_names([*names, "rack2-db-1.example.org"], SCREEN) == "rack*-db-*.example.org (21)"


def test_a_few_are_named_one_by_one_as_people_count() -> None:
    assert fold_names(["db-12", "db-2", "db-1"], SCREEN) == "db-1, db-2, db-12"
    assert fold_names([], SCREEN) == ""


def test_of_many_that_have_nothing_in_common_the_first_are_named_and_the_others_counted() -> None:
    names = [chr(ord("a") + one) for one in range(20)]
    assert fold_names(names, SCREEN) == "a, b, c, d, e, f, g, h, i, j, k, and 9 more"
    assert fold_names(names[:12], SCREEN) == ", ".join(names[:12])


def test_in_a_pipe_and_where_all_is_to_be_seen_every_name_is_told() -> None:
    names = [f"db-{one}" for one in range(30)]
    assert fold_names(names) == fold_names(names, PLAIN) == fold_names(names, Screen(width=80, whole=True))
    assert fold_names(names) == ", ".join(names)

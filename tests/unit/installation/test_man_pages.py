"""Where `man lastcall` finds a page that came with a virtual environment, on a folder that stands for the host."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fake_systemctl import FakeSystemctl
from lastcall.installation import packaged
from lastcall.installation.shared_data.man_pages import MANUAL
from unit.installation.test_install import carry_out, installation

OWN = "opt/lastcall/share/man"
PAGES = ("man1/lastcall.1", "man1/lastcall-plan.1", "man5/lastcall-config.5")


def bring(root: Path, pages: tuple[str, ...] = PAGES, where: str = OWN) -> None:
    """As pip does."""
    for page in (*pages, "man1/somebody.1"):
        path = root / where / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f".TH {page}\n")


def found(root: Path) -> dict[str, str]:
    """Each page where man(1) looks: where it leads, or what it says."""
    folder = root / MANUAL
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*.*"))
    }


def test_an_installation_links_the_pages_that_came_with_it_and_its_undoing_takes_the_links_away(tmp_path: Path) -> None:
    bring(tmp_path)
    for _ in range(2):
        carry_out(installation(tmp_path, FakeSystemctl()).plan())
        assert found(tmp_path) == {page: f"/{OWN}/{page}" for page in sorted(PAGES)}
    shutil.rmtree(tmp_path / "opt")  # somebody was faster
    carry_out(installation(tmp_path, FakeSystemctl()).undo())
    assert found(tmp_path) == {}


def test_an_upgrade_links_new_pages_and_unlinks_those_that_are_gone_also_from_another_environment(
    tmp_path: Path,
) -> None:
    bring(tmp_path, ("man1/lastcall.1", "man1/lastcall-old.1"), "opt/pipx/venvs/lastcall/share/man")
    for page in ("man1/lastcall.1", "man1/lastcall-old.1"):
        link = tmp_path / MANUAL / page
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/opt/pipx/venvs/lastcall/share/man/{page}")
    bring(tmp_path)
    carry_out(installation(tmp_path, FakeSystemctl()).plan())
    assert found(tmp_path) == {page: f"/{OWN}/{page}" for page in sorted(PAGES)}


def test_what_is_not_ours_stays_and_is_told(tmp_path: Path) -> None:
    bring(tmp_path)
    folder = tmp_path / MANUAL / "man1"
    folder.mkdir(parents=True)
    (folder / "lastcall.1").write_text("of somebody")
    (folder / "lastcall-plan.1").symlink_to("/srv/pages/plan.1")
    (folder / "lastcall-mine.1").symlink_to("/srv/pages/lastcall-mine.1")
    others = found(tmp_path)
    steps = installation(tmp_path, FakeSystemctl()).plan()
    notes = [note for step in steps for note in step.notes if str(MANUAL) in note]
    assert notes == [f"{folder / name} is not ours, and stays" for name in ("lastcall-plan.1", "lastcall.1")]
    carry_out(steps)
    assert found(tmp_path) == {**others, PAGES[2]: f"/{OWN}/{PAGES[2]}"}
    carry_out(installation(tmp_path, FakeSystemctl()).undo())
    assert found(tmp_path) == others


def test_pages_that_lie_there_anyway_are_not_linked_to_themselves(tmp_path: Path) -> None:
    bring(tmp_path, where=str(MANUAL))
    there = found(tmp_path)
    one = installation(tmp_path, FakeSystemctl())
    program = Path("/usr/local/bin/lastcall")  # as with pip and no environment
    carry_out(replace(one, program=program).plan())
    carry_out(one.undo())
    assert found(tmp_path) == there


@pytest.mark.parametrize("pages", [PAGES, ()])
def test_a_package_has_pages_of_its_own_before_which_none_of_an_environment_stands(
    tmp_path: Path, pages: tuple[str, ...]
) -> None:
    bring(tmp_path, pages)
    carry_out(installation(tmp_path, FakeSystemctl()).plan())
    unit = tmp_path / packaged.PACKAGED_UNITS / "lastcall.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    one = installation(tmp_path, FakeSystemctl())
    steps = replace(one, program=packaged.PROGRAM).plan()
    assert any("man pages" in step.text for step in steps) == bool(pages)
    carry_out(steps)
    assert found(tmp_path) == {}

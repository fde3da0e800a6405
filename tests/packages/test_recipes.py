"""The recipes for RPM and Arch Linux: they make what the package for Debian is, and do what it does."""

import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from lastcall.formats.version import __version__
from lastcall.installation.packaged import packaged_units
from packages.distributions import PROJECT, build, run, tracked
from packages.recipes import CONTRIB, DROP_IN, Moment, Recipe, Stage, build_arch, build_rpm, pkgbuild, scriptlets

DISTRIBUTIONS = ("deb", "rpm", "arch")
LOOKS = re.compile(r"--system daemon-reload|--quiet is-(enabled|active) lastcall\.service|py3.*|python3 .*")
NAMES = {"libvirt-python": ("python3-libvirt", "libvirt-python"), "pyyaml": ("python3-pyyaml", "python-yaml"),
         "jinja2": ("python3-jinja2", "python-jinja")}  # fmt: skip
"""Of what pyproject.toml names, for RPM and for Arch Linux, where it is not `python3-…` and `python-…`."""


@pytest.fixture(scope="module")
def rpm(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rpm(sdist, tmp_path_factory.mktemp("rpm"))


@pytest.fixture(scope="module")
def arch(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_arch(sdist, tmp_path_factory.mktemp("arch"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


@pytest.fixture(params=DISTRIBUTIONS)
def recipe(request: pytest.FixtureRequest, rpm: Path) -> Recipe:
    return scriptlets(request.param, rpm)


@pytest.fixture
def debian(tmp_path: Path) -> set[str]:
    """The files that the package for Debian 13 is made of, but for what debhelper adds."""
    wheel = build("wheel", tmp_path / "wheel")
    tree = PROJECT / "contrib/debian/tree.py"
    run(sys.executable, tree, wheel, tmp_path / "tree/usr", environment={"PYTHONPATH": "core:plugins"})
    return files(tmp_path / "tree")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def listed(rpm: Path) -> Iterator[tuple[str, str, str]]:
    """(path, mode, whose) of each file of a package."""
    told = run("rpm", "-qp", "--qf", r"[%{FILENAMES}\t%{FILEMODES:perms}\t%{FILEUSERNAME}\n]", rpm)
    for line in told.splitlines():
        name, mode, owner = line.split("\t")
        if not mode.startswith("d"):
            yield name.lstrip("/"), mode, owner


def test_they_bring_the_same_files_as_the_package_for_debian(rpm: Path, arch: Path, debian: set[str]) -> None:
    assert {"usr/bin/lastcall", "usr/lib/lastcall/last-line", "usr/share/man/man1/lastcall.1"} < debian
    pages = {name.replace("contrib/man", "usr/share/man") for name in tracked("contrib/man")}
    assert len(pages) > 15
    assert pages < debian
    assert {f"usr/share/cockpit/lastcall/{Path(name).name}" for name in tracked("contrib/cockpit")} < debian
    assert {f"usr/lib/systemd/system/{unit}" for unit in packaged_units()} < debian
    assert not [name for name in debian if name.endswith(".pyc")]
    licence = f"usr/share/licenses/lastcall-{__version__}/LICENSE"
    assert {name.removesuffix(".gz") for name, _, _ in listed(rpm)} == debian | {licence}
    more = {"licenses/lastcall/LICENSE", "libalpm/hooks/lastcall.hook", "libalpm/scripts/lastcall-give-back"}
    made = files(arch)
    assert {name for name in made if not name.endswith(".pyc")} == debian | {f"usr/share/{name}" for name in more}
    modules = {name for name in debian if name.startswith("usr/lib/lastcall/") and name.endswith(".py")}
    compiled = {
        re.sub(r"__pycache__/(\w+)\.cpython-\d+\.pyc$", r"\1.py", name) for name in made if name.endswith(".pyc")
    }
    assert compiled == modules, "a start does not have to compile"


def test_what_they_bring_belongs_to_root_and_runs_where_debian_has_it(rpm: Path, arch: Path) -> None:
    modes = {name: mode for name, mode, _ in listed(rpm)}
    assert {owner for _, _, owner in listed(rpm)} == {"root"}
    assert not [name for name, mode in modes.items() if mode[0] == "-" and "w" in mode[4:]]
    samples = [f"usr/share/doc/lastcall/examples/{name}" for name in tracked("hooks.d") if not name.endswith(".py")]
    assert len(samples) > 5, "they are copied with their mode"
    for name in ("usr/bin/lastcall", "usr/lib/lastcall/lastcall/systemd/last-line.sh", *samples):
        assert modes[name] == "-rwxr-xr-x"
        assert (arch / name).stat().st_mode & 0o777 == 0o755
    for name, text in packaged_units().items():
        assert (arch / "usr/lib/systemd/system" / name).read_text() == text, "the unit of contrib/systemd"


def test_they_say_of_themselves_what_pyproject_says(rpm: Path, project: dict[str, Any]) -> None:
    told = run("rpm", "-qp", "--qf", r"%{NAME}\n%{VERSION}\n%{LICENSE}\n%{URL}\n%{ARCH}\n", rpm).splitlines()
    home = project["project"]["urls"]["Homepage"]
    assert told == ["lastcall", __version__, project["project"]["license"], home, "noarch"]
    assert [*pkgbuild("pkgname"), *pkgbuild("pkgver"), *pkgbuild("license"), *pkgbuild("url")] == told[:-1]
    assert pkgbuild("arch") == ["any"]
    control = (CONTRIB / "debian/control.in").read_text()
    (short,) = re.findall(r"^Description: (.*)$", control, re.MULTILINE)
    assert short == run("rpm", "-qp", "--qf", "%{SUMMARY}", rpm).replace("Shuts", "shuts")
    assert [short] == [one.replace("Shuts", "shuts") for one in pkgbuild("pkgdesc")]
    source = (
        f"{project['project']['urls']['Repository']}/releases/download/v{__version__}/lastcall-{__version__}.tar.gz"
    )
    assert pkgbuild("source") == [source]
    spec = run("rpmspec", "-P", CONTRIB / "rpm/lastcall.spec")
    assert f"Source0:        {source}" in spec


def test_they_need_what_pyproject_says_from_the_version_on_that_it_says(rpm: Path, project: dict[str, Any]) -> None:
    # Those who package by these recipes have the newest Python.
    declared = [one for one in map(Requirement, project["project"]["dependencies"])
                if one.marker is None or one.marker.evaluate({"python_version": "3.13"})]  # fmt: skip
    python = project["project"]["requires-python"]
    names = [(NAMES.get(one.name.lower(), (f"python3-{one.name}", f"python-{one.name}")), str(one.specifier))
             for one in declared]  # fmt: skip
    asked = run("rpm", "-qp", "--requires", rpm).splitlines()
    assert "/usr/bin/perl" not in asked, "what a sample wants is for who copies it"
    needs = {line for line in asked if not line.startswith(("/", "rpmlib"))}
    ours = {f"{name} {floor.replace('>=', '>= ')}" for (name, _), floor in [*names, (("python3", ""), python)]}
    assert needs == ours
    assert set(pkgbuild("depends")) == {f"{name}{floor}" for (_, name), floor in [*names, (("", "python"), python)]}
    spec = run("rpmspec", "-P", CONTRIB / "rpm/lastcall.spec")
    builds = {" ".join(one.split()) for one in re.findall(r"^BuildRequires:(.*)$", spec, re.MULTILINE)}
    backend = {Requirement(one) for one in project["build-system"]["requires"]}
    assert builds == ours | {f"python3-{one.name} {str(one.specifier).replace('>=', '>= ')}" for one in backend}
    assert set(pkgbuild("makedepends")) == {f"python-{one.name}{one.specifier}" for one in backend}


def test_debian_needs_the_same_and_everybody_is_advised_to_have_virsh(rpm: Path, project: dict[str, Any]) -> None:
    control, builder = (CONTRIB / "debian/control.in").read_text(), (CONTRIB / "debian/build.py").read_text()
    (always,) = re.findall(r"^Depends: @DEPENDS@, (.*?), \$", control, re.MULTILINE)
    (newest,) = re.findall(r'"deb13",\n\s*"(.*)",', builder)
    named = {one.split()[0] for one in f"{newest}, {always}".split(", ")}
    needs = {
        line.split()[0] for line in run("rpm", "-qp", "--requires", rpm).splitlines() if line.startswith("python3")
    }
    assert named == {name.replace("pyyaml", "yaml") for name in needs}
    floors = {Requirement(one).name: str(Requirement(one).specifier) for one in project["project"]["dependencies"]}
    for name, floor in re.findall(r"python3-(\w+) \((>= [\d.]+)\)", newest):
        assert floors[name] == floor.replace(" ", "")
    assert "Recommends: libvirt-clients" in control
    assert run("rpm", "-qp", "--recommends", rpm).split() == ["libvirt-client"]
    assert [one.partition(":")[0] for one in pkgbuild("optdepends")] == [
        "cockpit",
        "libvirt",
        "python-apprise",
        "python-paho-mqtt",
        "python-prometheus_client",
    ]
    assert "Enhances: cockpit, libvirt-daemon-system" in control, (
        "whose page is there for who has it, and asks for nothing"
    )
    assert run("rpm", "-qp", "--enhances", rpm).split() == ["cockpit", "libvirt-daemon"]


def test_an_installation_starts_and_stops_nothing_and_says_once_what_is_to_be_decided(
    recipe: Recipe, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    done = stage.play(recipe.install)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lastcall install --take-over" in done.stdout
    assert "--system daemon-reload" in stage.told()
    assert [one for one in stage.told() if not LOOKS.fullmatch(one)] == []


def test_where_it_is_on_duty_an_installation_or_an_upgrade_has_nothing_to_say_and_leaves_it_so(
    recipe: Recipe, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    stage.put_on_duty()
    for moment in (recipe.install, *recipe.upgrade):
        done = stage.play(moment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), moment.argument
    assert stage.told().count("--system daemon-reload") >= 2
    assert [one for one in stage.told() if not LOOKS.fullmatch(one)] == []
    assert (tmp_path / DROP_IN).exists()


def off_duty(stage: Stage) -> None:
    pass


def only_active(stage: Stage) -> None:
    (stage.folder / "active").touch()


def only_taken_over(stage: Stage) -> None:
    stage.take_over()


@pytest.mark.parametrize(
    ("state", "gives_back"),
    [(off_duty, False), (Stage.put_on_duty, True), (only_active, True), (only_taken_over, True)],
)
def test_a_removal_gives_the_guests_back_first_where_there_is_something_to_give(
    recipe: Recipe, tmp_path: Path, state: Callable[[Stage], None], gives_back: bool
) -> None:
    stage = Stage(tmp_path)
    state(stage)
    done = stage.play(recipe.remove)
    assert (done.returncode, done.stderr) == (0, "")
    assert [one for one in stage.told() if not LOOKS.fullmatch(one)] == ["lastcall uninstall"] * gives_back


def test_where_giving_back_fails_the_package_stays(recipe: Recipe, tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.put_on_duty()
    (tmp_path / "broken").touch()
    done = stage.play(recipe.remove)
    assert done.returncode != 0, "which RPM, dpkg and the hook of pacman take for a no"
    assert "`lastcall uninstall` failed: lastcall may still be on duty, and is not removed." in done.stderr


def test_a_removal_from_a_file_system_that_does_not_run_leaves_no_link_and_no_drop_in(
    recipe: Recipe, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, running=False)
    stage.put_on_duty()
    done = stage.play(recipe.remove)
    assert (done.returncode, done.stderr) == (0, "")
    acts = [one for one in stage.told() if not LOOKS.fullmatch(one)]
    ours = "lastcall.service lastcall-restore.service lastcall-sleep.service lastcall-check.timer lastcall-power.socket"
    assert acts == [f"--quiet disable {ours}"]
    assert not (tmp_path / DROP_IN).exists()


def test_pacman_asks_before_a_removal_and_takes_no_for_an_answer(arch: Path) -> None:
    hook = (arch / "usr/share/libalpm/hooks/lastcall.hook").read_text().splitlines()
    assert {"Operation = Remove", "Type = Package", "Target = lastcall", "When = PreTransaction", "AbortOnFail"} < set(
        hook
    )
    (runs,) = [line.partition(" = ")[2] for line in hook if line.startswith("Exec")]
    assert (arch / runs.lstrip("/")).read_text() == (CONTRIB / "arch/give-back").read_text()
    assert (arch / runs.lstrip("/")).stat().st_mode & 0o111


def test_nothing_that_python_has_compiled_later_is_left(rpm: Path, tmp_path: Path) -> None:
    last = Moment((CONTRIB / "arch/lastcall.install").read_text(), "0.1.0-1", "post_remove")
    for name, moment in (("rpm", scriptlets("rpm", rpm).remove), ("arch", last)):
        stage = Stage(tmp_path / name)
        compiled = stage.folder / "usr/lib/lastcall/lastcall/__pycache__/main.cpython-399.pyc"
        compiled.parent.mkdir(parents=True)
        compiled.touch()
        done = stage.play(moment)
        assert (done.returncode, done.stderr) == (0, "")
        assert not compiled.parent.exists()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_shell_that_looks_closely_finds_nothing(distribution: str, rpm: Path, tmp_path: Path) -> None:
    """SC2034: variables of a PKGBUILD are for makepkg; SC2154: as are those that it has set; SC2164: it stops there."""
    recipe = scriptlets(distribution, rpm)
    for number, moment in enumerate((recipe.install, *recipe.upgrade, recipe.remove)):
        path = tmp_path / str(number)
        path.write_text(moment.script)
        assert run("shellcheck", f"--shell={'bash' if moment.function else 'sh'}", path) == ""
    assert run("shellcheck", "--shell=bash", "--exclude=SC2034,SC2154,SC2164", CONTRIB / "arch/PKGBUILD") == ""


def test_a_trigger_of_rpm_compiles_for_each_python_that_comes(rpm: Path, tmp_path: Path) -> None:
    told = run("rpm", "-qp", "--triggers", rpm)
    head, _, script = told.partition("\n")
    assert head.startswith("triggerin scriptlet (using /bin/sh) -- python3")
    stage = Stage(tmp_path)
    (tmp_path / "bin/python3").unlink()
    (tmp_path / "bin/python3").symlink_to(shutil.which("python3") or "")
    source = tmp_path / "usr/lib/lastcall/lastcall/main.py"
    old = source.parent / "__pycache__/main.cpython-399.pyc"
    old.parent.mkdir(parents=True)
    source.touch()
    old.touch()
    done = stage.play(Moment(script, "1 1"))
    assert (done.returncode, done.stderr) == (0, "")
    assert not old.exists()
    assert list(old.parent.glob("main.*.pyc"))

"""The wheel and the sdist: what is in them, what they say of themselves, and that anybody makes the same."""

import json
import re
import sys
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement

from lastcall.formats.version import __version__
from packages.distributions import PROJECT, build, run, tracked, unpacked

FACTS = f"lastcall-{__version__}.dist-info"
SHARE = f"lastcall-{__version__}.data/data/share"
DATA = f"{SHARE}/doc/lastcall"
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|<(https?:[^>]+)>|^\[[^\]]+\]: (\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def source(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked, as whoever builds from it has it."""
    return unpacked(sdist, tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as packed:
        return set(packed.namelist())


def text(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as packed:
        return packed.read(name).decode()


def metadata(wheel: Path) -> Message:
    return message_from_string(text(wheel, f"{FACTS}/METADATA"))


def description(wheel: Path) -> str:
    return str(metadata(wheel).get_payload())


def links(page: str) -> list[str]:
    return ["".join(found) for found in LINK.findall(page)]


def test_a_wheel_has_every_file_of_the_program_its_licence_its_docs_and_nothing_else(wheel: Path) -> None:
    program = {name.partition("/")[2] for name in tracked("core", "plugins")}
    docs = {
        f"{DATA}/{name}"
        for name in tracked(
            "docs",
            "contrib/ansible",
            "contrib/example-plugin",
            "contrib/monitoring",
            "contrib/ups",
            "contrib/etcd",
            ":(glob)*.md",
        )
    }
    docs |= {f"{DATA}/examples/{name}" for name in tracked("hooks.d")} | {f"{DATA}/contrib/systemd/hardening.conf"}
    docs |= {f"{SHARE}/man/{name.removeprefix('contrib/man/')}" for name in tracked("contrib/man")}
    docs |= {f"{SHARE}/cockpit/lastcall/{Path(name).name}" for name in tracked("contrib/cockpit")}
    facts = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "sboms/lastcall.cdx.json"}
    made_by = {f"{DATA}/{name}" for name in tracked("docs/rooms.py", "docs/book")}  # programs that make pages
    expected = program | docs - made_by | {f"{FACTS}/{name}" for name in facts}
    assert names(wheel) == expected
    assert {"lastcall/py.typed", "lastcall_plugins/py.typed", "lastcall/systemd/last-line.sh"} <= expected


def test_a_wheel_has_the_programs_among_the_samples_with_their_mode(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in packed.infolist()}
    for name in tracked("hooks.d"):
        wanted = 0o644 if name.endswith(".py") else 0o755
        assert modes[f"{DATA}/examples/{name}"] == wanted, name


def test_an_sdist_has_every_file_of_the_repository_but_those_of_its_ci(source: Path) -> None:
    there = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    expected = {name for name in tracked(".") if not name.startswith((".ci/", ".git"))}
    assert there == expected | {".gitignore", "PKG-INFO"}
    assert {"docs/install.md", "contrib/example-plugin/pyproject.toml", "tests/conftest.py"} <= there


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_whoever_builds_it_of_the_same_source_gets_the_same_bytes(
    target: str, source: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Elsewhere, of the sdist instead of the repository, with the files of a day ago, by somebody with other habits."""
    first: Path = request.getfixturevalue(target)
    for path in source.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
    second = build(target, tmp_path, source=source, umask=0o077)
    assert second.name == first.name
    assert second.read_bytes() == first.read_bytes()
    other = build(target, tmp_path / "other", moment="1600000000")
    assert other.read_bytes() != first.read_bytes(), "the moment is the one that is given"


def test_a_package_index_finds_nothing_wrong(sdist: Path, wheel: Path) -> None:
    said = run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    assert said.count("PASSED") == 2


def test_every_link_of_the_description_is_absolute_and_those_to_our_files_name_files_of_this_version(
    wheel: Path, project: dict[str, Any]
) -> None:
    repository = project["project"]["urls"]["Repository"]
    files = f"{repository}/blob/v{__version__}/"
    found = links(description(wheel))
    assert len(found) == len(links((PROJECT / "README.md").read_text())) > 20
    for link in found:
        assert link.startswith("https://"), link
        if link.startswith(repository) and link != repository:
            assert link.startswith(files), link
            assert (PROJECT / link.removeprefix(files).partition("#")[0]).is_file(), link
    assert any(link.startswith(files) for link in found)


def test_readme_and_docs_say_where_the_source_comes_from(project: dict[str, Any]) -> None:
    repository = project["project"]["urls"]["Repository"]
    for page in ("README.md", "docs/install.md"):
        assert f"`git clone {repository} lastcall`" in (PROJECT / page).read_text()
    texts = [(PROJECT / name).read_text() for name in tracked(":(glob)**/*.md", "contrib", "pyproject.toml")]
    addresses = re.findall(r"https://lastcall\.dev/source[\w./-]*", "\n".join(texts))
    assert len(addresses) > 5
    assert all(address == repository or address.startswith(f"{repository}/") for address in addresses)


def test_what_a_package_index_shows_beside_it_leads_to_the_repository_and_its_files(
    wheel: Path, project: dict[str, Any]
) -> None:
    urls = project["project"]["urls"]
    shown = dict(line.split(", ", 1) for line in metadata(wheel).get_all("Project-URL") or ())
    assert shown == urls
    assert {"Homepage", "Documentation", "Repository", "Changelog", "Issues"} <= set(shown)
    for label, url in urls.items():
        assert url.startswith("https://"), label
        _, is_file, path = url.partition(f"{urls['Repository']}/blob/main/")
        assert not is_file or (PROJECT / path).is_file(), label


def test_the_pages_that_come_with_a_wheel_lead_to_each_other_and_to_files_that_come_along(wheel: Path) -> None:
    there = names(wheel)
    pages = [name for name in there if name.startswith(DATA) and name.endswith(".md")]
    assert len(pages) > 15
    for page in pages:
        for link in links(text(wheel, page)):
            if not link.startswith(("https://", "#")):
                target = str((Path("/", page).parent / link.partition("#")[0]).resolve()).lstrip("/")
                assert target in there or any(name.startswith(f"{target}/") for name in there), f"{page}: {link}"


def test_the_bill_of_materials_is_one_and_names_what_pyproject_declares(wheel: Path, project: dict[str, Any]) -> None:
    bill = text(wheel, f"{FACTS}/sboms/lastcall.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(bill) is None
    told = json.loads(bill)
    ours = told["metadata"]["component"]
    assert (ours["name"], ours["version"]) == ("lastcall", __version__)
    assert ours["purl"] == f"pkg:pypi/lastcall@{__version__}"
    assert ours["licenses"] == [{"expression": project["project"]["license"]}]
    # Where a newer Python needs a newer one, the older comes first.
    declared = list(map(Requirement, reversed(project["project"]["dependencies"])))
    ranges = {f"pkg:pypi/{one.name.lower()}": f"vers:pypi/{one.specifier}" for one in declared}
    assert {one["purl"]: one["versionRange"] for one in told["components"]} == ranges
    assert all(one["isExternal"] for one in told["components"]), "none is in the wheel"
    assert told["dependencies"] == [{"ref": ours["bom-ref"], "dependsOn": sorted(ranges)}]


def test_what_builds_it_is_there_for_whoever_works_on_it(project: dict[str, Any]) -> None:
    """So that the tests above need no network."""
    assert [one for one in project["build-system"]["requires"] if one not in project["dependency-groups"]["dev"]] == []


def test_a_wheel_says_what_it_needs_and_under_which_terms_it_is_given(wheel: Path, project: dict[str, Any]) -> None:
    told, declared = metadata(wheel), project["project"]
    needs = {str(Requirement(one)).lower() for one in told.get_all("Requires-Dist") or ()}
    extras = {
        f'{Requirement(one)}; extra == "{name}"'
        for name, ones in declared["optional-dependencies"].items()
        for one in ones
    }
    assert needs == {str(Requirement(one)).lower() for one in declared["dependencies"]} | extras
    assert told["License-Expression"] == declared["license"]
    assert told["License-File"] == "LICENSE"
    assert told["Requires-Python"] == declared["requires-python"]
    assert text(wheel, f"{FACTS}/licenses/LICENSE") == (PROJECT / "LICENSE").read_text()

"""`lastcall plugins new`: what it is called, where it goes, and that nothing is lost by it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from lastcall import PluginOptions, hookimpl
from lastcall.api.guest_keys import KEPT
from lastcall.cli.commands import COMMANDS
from lastcall.cli.main import run
from lastcall.cli.skeleton.names import LONGEST, parse_names
from lastcall.config import load
from lastcall.config.settings import Bootstrap
from lastcall.errors import ExitCode, UsageError
from lastcall.hooks.discovery import Plugins
from lastcall.options import Options

WORDS = st.sampled_from(["door", "sign", "2", "x", "stop", "start", "lastcall", "json", "on", "order", "acpi", "-"])
NAMES = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[a-z0-9_-]{0,40}", fullmatch=True),
    st.lists(WORDS, max_size=6).map("".join),
    st.lists(WORDS, max_size=6).map("-".join),
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tree(folder: Path) -> dict[str, bytes | None]:
    """What is below a folder: texts of files; None for what is no file."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


class Declares:
    """A plugin with options for the host and for guests, as a skeleton's is."""

    class Settings(Options):
        """Its section."""

        file: str = "x"

    @hookimpl
    def plugin_options(self) -> PluginOptions:
        """Declare them."""
        return PluginOptions(settings=self.Settings, guest=self.Settings)


@given(NAMES)
def test_a_name_is_refused_or_good_in_all_places(name: str) -> None:
    try:
        names = parse_names(name)
    except UsageError:
        return
    assert names.project == re.sub(r"[-_.]+", "-", names.project).lower(), "as PEP 503 has it"
    assert names.module.isidentifier()
    assert names.plugin.isidentifier()
    plugins = Plugins(Bootstrap(), given={names.plugin: Declares()})
    assert not plugins.registry.problems
    text = yaml.safe_dump({"plugins": {names.plugin: {"file": "y"}}, "guests": [{"match": "x", names.plugin: {}}]})
    assert yaml.safe_load(f"{names.plugin}: 1") == {names.plugin: 1}
    assert load.parse(text, "config").settings(plugins.vocabulary)


@pytest.mark.parametrize("name", ["door-sign", "door_sign", "lastcall-door-sign", "lastcall_door_sign"])
def test_however_it_is_written_it_is_the_same_plugin(name: str) -> None:
    names = parse_names(name)
    assert (names.command, names.plugin) == ("door-sign", "door_sign")
    assert (names.module, names.project) == ("lastcall_door_sign", "lastcall-door-sign")


@pytest.mark.parametrize("name", ["Door Sign", "DoorSign?", "door..sign", "-door-sign-", "door--sign", "2-door-sign"])
def test_of_a_name_that_is_nearly_good_the_good_one_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=r"did you mean '(door-sign|doorsign)'\?"):
        parse_names(name)


TAKEN = [
    *sorted(KEPT),
    *(name for name in dir(BaseModel) if re.fullmatch(r"[a-z]+(_[a-z]+)*", name)),
    *("guest_x", "restore-x", "start_x", "stop-x"),
    *("acpi", "agent", "commands", "databases", "destroy", "ready", "save", "signal", "ssh"),
    *("plugins", "lab", "on", "off", "yes", "no", "true", "false", "null", "y", "n"),
    *("shutdown", "resume", "wake"),
]


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_is_somebody_elses_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        parse_names(name)


def test_a_name_that_makes_lines_too_long_is_refused() -> None:
    parse_names("a" * LONGEST)
    with pytest.raises(UsageError, match="longer"):
        parse_names("a" * (LONGEST + 1))


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*TAKEN}))
def test_a_command_that_lastcall_has_cannot_be_that_of_a_plugin(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["plugins", "new", command, "--command"]) == ExitCode.USAGE
    assert f"lastcall has a command {command!r}" in capfd.readouterr().err
    assert tree(tmp_path) == {}
    assert run(["plugins", "new", command]) == ExitCode.OK, "it is a name like any other without"


def test_it_says_every_file_that_it_wrote_and_two_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins", "new", "door-sign", "--shell"]) == ExitCode.OK
    lines = capfd.readouterr().out.splitlines()
    written = [path for path, text in tree(tmp_path).items() if text is not None]
    assert sorted(lines[:-3]) == [f"wrote {path}" for path in written]
    assert lines[-3:] == [
        "next:",
        "  cd lastcall-door-sign && python3 -m pip install --editable '.[dev]'",
        "  python3 -m pytest",
    ]


def test_an_offer_has_its_module_and_its_test_where_it_is_asked_for(tmp_path: Path) -> None:
    run(["plugins", "new", "plain"])
    run(["plugins", "new", "full", "--stop-method", "--shell", "--command"])
    source, tests = "lastcall-full/src/lastcall_full", "lastcall-full/tests"
    plain = {path.replace("plain", "full") for path in tree(tmp_path / "lastcall-plain")}
    added = {path for path in tree(tmp_path / "lastcall-full") if path not in plain}
    assert added == {
        f"{folder.partition('/')[2]}/{prefix}{name}.py"
        for folder, prefix in ((source, ""), (tests, "test_"))
        for name in ("stop_method", "shell", "command")
    }
    texts = "".join(text.decode() for text in tree(tmp_path / "lastcall-plain").values() if text)
    assert not re.search(r"stop_method|guest_shells|register_commands|click|^%|\$[a-z]", texts, re.MULTILINE)


def test_a_drop_in_is_a_file_that_a_host_would_load_and_a_test_that_it_would_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["plugins", "new", "door-sign", "--drop-in"]) == ExitCode.OK
    assert [path for path, text in tree(tmp_path).items() if text] == [
        "hooks.d/50-door-sign.py",
        "tests/test_door_sign.py",
    ]
    assert capfd.readouterr().out.splitlines()[-2:] == [
        "  python3 -m pytest tests/test_door_sign.py",
        "  install -m 644 hooks.d/50-door-sign.py /etc/lastcall/hooks.d",
    ]


@pytest.mark.parametrize("offer", ["--stop-method", "--shell", "--command"])
def test_a_drop_in_with_offers_is_refused(offer: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins", "new", "door-sign", "--drop-in", offer]) == ExitCode.USAGE
    assert offer in capfd.readouterr().err
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("there", ["file", "folder", "full folder", "dangling link", "link to a folder"])
@pytest.mark.parametrize(
    ("words", "path"),
    [
        ((), "lastcall-door-sign"),
        (("--drop-in",), "hooks.d/50-door-sign.py"),
        (("--drop-in",), "tests/test_door_sign.py"),
    ],
)
def test_nothing_is_written_over(
    words: tuple[str, ...], path: str, there: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / path
    place.parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").mkdir()
    if there == "file":
        place.write_text("mine")
    elif there == "dangling link":
        place.symlink_to("nowhere")
    elif there == "link to a folder":
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        if there == "full folder":
            (place / "pyproject.toml").write_text("mine")
    before = tree(tmp_path)
    assert run(["plugins", "new", "door-sign", *words]) == ExitCode.NOT_AS_PLANNED
    assert f"{path} is there already" in capfd.readouterr().err
    assert tree(tmp_path) == before


def test_another_drop_in_goes_beside_the_first(tmp_path: Path) -> None:
    run(["plugins", "new", "one", "--drop-in"])
    before = tree(tmp_path)
    assert run(["plugins", "new", "two", "--drop-in"]) == ExitCode.OK
    assert before.items() < tree(tmp_path).items()


@pytest.mark.parametrize("words", [(), ("--drop-in",)])
def test_where_the_disk_is_full_nothing_is_left_behind(words: tuple[str, ...], tmp_path: Path) -> None:
    program = "import sys; from lastcall.cli.main import run; sys.exit(run(sys.argv[1:]))"
    limited = ["prlimit", "--fsize=1500", sys.executable, "-c", program, "plugins", "new", "door-sign", *words]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.NO_PERMISSION, done.stderr
    assert re.search(r"lastcall: .* cannot be written: file too large", done.stderr)
    assert tree(tmp_path) == {}


def test_what_is_in_the_way_is_named_and_stays(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tests").write_text("mine")
    assert run(["plugins", "new", "door-sign", "--drop-in"]) == ExitCode.NO_PERMISSION
    assert "tests" in capfd.readouterr().err
    assert tree(tmp_path) == {"tests": b"mine"}


def test_files_are_for_everybody_to_read_and_for_the_author_to_write() -> None:
    run(["plugins", "new", "door-sign"])
    modes = {oct(path.stat().st_mode & 0o777) for path in Path().rglob("*") if path.is_file()}
    assert modes == {"0o644"}


def test_the_list_of_plugins_is_not_for_json_of_something_else(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins", "--json", "new", "door-sign"]) == ExitCode.USAGE
    assert "--json is for the list" in capfd.readouterr().err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("words", ["'--version'", "'status'", "'plugins'"])
def test_whoever_writes_no_plugin_does_not_load_what_does(words: str) -> None:
    program = f"import sys; from lastcall.cli.main import run; run([{words}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "lastcall.cli.group" in done.stdout
    assert "lastcall.cli.skeleton" not in done.stdout

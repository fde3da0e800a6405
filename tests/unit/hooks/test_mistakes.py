"""Every mistake that authors make, and whether they are told the file, the line and what helps."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lastcall import Guest
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.errors import Problem, Severity
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.dispatch import Dispatcher
from lastcall.records.stream import Stream
from lastcall.threads.workers import ThreadWorkers
from support import run_context

GUEST = Guest(uri="fake:///system", uuid="u", name="g")
HEAD = "import lastcall, sys, time\nfrom lastcall.options import Options, StepOptions\n"
IMPL = "@lastcall.hookimpl\n"
METHOD = "class Mine(lastcall.StopMethod):\n    name = {}\n    options = {}\n    def request(self, call): pass\n"
OFFER = METHOD + IMPL + "def stop_methods():\n    return [Mine()]\n"

# What is written below the two lines of HEAD; the line that is told; what is said of it.
AT_LOAD = {
    "misspelt hook": (IMPL + "def pre_shutdwon(run): pass", 3, "did you mean 'pre_shutdown'?"),
    "misspelt argument": (IMPL + "def pre_shutdown(rum): pass", 3, "unknown argument 'rum'; did you mean 'run'?"),
    "argument of another hook": (IMPL + "def pre_shutdown(guest): pass", 3, "unknown argument 'guest'"),
    "forgotten decorator": ("def pre_shutdown(run): pass", 3, "is not marked"),
    "wrapper": ("@lastcall.hookimpl(wrapper=True)\ndef pre_shutdown(run):\n    yield", 3, "wrappers are not supported"),
    "async": (IMPL + "async def pre_shutdown(run): pass", 3, "is async"),
    "async generator": (IMPL + "async def check(run):\n    yield 1", 3, "is async"),
    "generator": (IMPL + "def pre_shutdown(run):\n    yield", 3, "is a generator"),
    "generator of facts": (IMPL + "def describe_guest(guest):\n    yield 'a', 1", 3, "is a generator"),
    "keyword-only": (IMPL + "def on_guest_stop(guest, *, run): pass", 3, "takes 'run' by keyword only"),
    "keyword-only with a default": (IMPL + "def on_guest_stop(*, run=None): pass", 3, "takes 'run' by keyword only"),
    "positional-only": (IMPL + "def on_guest_stop(guest, /, run): pass", 3, "takes 'guest' by its position only"),
    "default": (IMPL + "def on_guest_stop(guest, run=None): pass", 3, "gives 'run' a default"),
    "any keywords": (IMPL + "def on_guest_stop(**given): pass", 3, "takes **given"),
    "class": ("class Hooks:\n    @lastcall.hookimpl\n    def check(self, run): pass", 4, "in the class Hooks"),
    "misspelt policy": (
        IMPL + "def on_guest_stop():\n    raise lastcall.HookFailed('no', on_failure='skip-guest')", 5,
        "on_failure='skip-guest' means nothing; did you mean 'skip_guest'?",
    ),
    "misspelt policy, third": (
        "from lastcall import HookFailed as F, HookFailed\ndef stop():\n    raise HookFailed('no', '', 'abrot')", 5,
        "did you mean 'abort'?",
    ),
    "import error": ("import not_there", 3, "No module named 'not_there'"),
    "error at import": ("def setting():\n    return {}['x']\nsetting()", 4, "KeyError"),
    "exit at import": ("sys.exit(3)", 3, "SystemExit: 3"),
    "hang at import": ("time.sleep(600)", 3, "no answer"),
    "syntax error": ("def broken(:", 3, "SyntaxError"),
    "indentation": ("if True:\nx = 1", 4, "IndentationError"),
    "options that are no model": (
        IMPL + "def plugin_options():\n    return lastcall.PluginOptions(settings=dict)", 3, "no subclass of",
    ),
    "options that are no answer": (IMPL + "def plugin_options():\n    return Options", 3, "returned"),
    "options that raise": (IMPL + "def plugin_options():\n    raise KeyError('x')", 5, "KeyError"),
    "field of an unknown type": (
        "class Mine(Options):\n    a: 'NotThere'\n" + IMPL
        + "def plugin_options():\n    return lastcall.PluginOptions(guest=Mine)", 5, "NotThere",
    ),
    "methods that are none": (IMPL + "def stop_methods():\n    return [7]", 3, "offers 7"),
    "a single method": (IMPL + "def stop_methods():\n    return 7", 3, "returned 7"),
    "method without options": (OFFER.format("'mine'", "None"), 7, "the options of 'mine' are no model"),
    "method with a bad name": (OFFER.format("'_x'", "StepOptions"), 7, "cannot be the name of a stop method"),
    "abstract method": (
        "class Mine(lastcall.StopMethod):\n    pass\n" + IMPL + "def stop_methods():\n    return [Mine()]", 7,
        "abstract",
    ),
    "shells that raise": (IMPL + "def guest_shells():\n    yield 1 / 0", 5, "ZeroDivisionError"),
}  # fmt: skip
IN_A_CALL = {
    "raises": ("pre_shutdown", "raise ValueError('boom')", 5, "ValueError: boom"),
    "raises in a helper": ("pre_shutdown", "int('x')", 5, "invalid literal"),
    "says that it failed": ("pre_shutdown", "raise lastcall.HookFailed('no')", 5, "no"),
    "hangs": ("pre_shutdown", "time.sleep(600)", 5, "no answer within"),
    "exits": ("pre_shutdown", "sys.exit(3)", 5, "SystemExit: 3"),
    "is interrupted": ("pre_shutdown", "raise KeyboardInterrupt", 5, "KeyboardInterrupt"),
    "returns a number": ("pre_shutdown", "return 5", 3, "returned 5"),
    "returns a number when asked for problems": ("check", "return 5", 3, "int"),
    "returns texts for problems": ("check_guest", "return ['bad']", 3, "returned 'bad'"),
    "yields and raises": ("check_guest", "yield 1 / 0", 5, "ZeroDivisionError"),
    "returns a list of facts": ("describe_guest", "return [1]", 3, "returned [1]"),
    "returns a text of settings": ("guest_settings", "return 'x'", 3, "returned 'x'"),
    "returns a text for readiness": ("guest_ready", "return 'yes'", 3, "returned 'yes'"),
    "misspells an attribute": ("on_guest_stop", "run.remainig()", 5, "remainig"),
    "says a policy that it has made up": (
        "on_guest_stop", "raise lastcall.HookFailed('no', on_failure='-'.join(['a', 'b']))", 5,
        "'a-b'",
    ),
}  # fmt: skip
EXECUTABLES = {
    "CRLF": (b"#!/bin/sh\r\ntrue\r\n", 0o755, "CR LF"),
    "missing interpreter": (b"#!/usr/bin/perl7\n", 0o755, "its interpreter /usr/bin/perl7 is not there"),
    "interpreter that env cannot find": (b"#!/usr/bin/env perl7\n", 0o755, "its interpreter perl7 is not in"),
    "the same, split": (b"#!/usr/bin/env -S perl7 -w\n", 0o755, "its interpreter perl7 is not in"),
    "relative interpreter": (b"#!python3\n", 0o755, "no absolute path"),
    "no interpreter": (b"#!\ntrue\n", 0o755, "names no interpreter"),
    "no first line": (b"echo hello\n", 0o755, "has no #! line"),
    "byte order mark": (b"\xef\xbb\xbf#!/bin/sh\n", 0o755, "byte order mark"),
    "empty": (b"", 0o755, "is empty"),
    "bad mode": (b"#!/bin/sh\n", 0o644, "is not executable"),
    "writable by all": (b"#!/bin/sh\n", 0o777, "writable"),
}


def load(folder: Path) -> Plugins:
    return Plugins(parse(f"paths: {{hooks: {folder}}}\nhooks: {{timeout: 0.4s}}").bootstrap)


def drop_in(tmp_path: Path, text: str) -> tuple[Path, Plugins]:
    folder = tmp_path / "hooks.d"
    folder.mkdir(mode=0o755)
    file = folder / "10-bmc.py"
    file.write_text(HEAD + text + "\n")
    return file, load(folder)


@pytest.mark.parametrize("mistake", AT_LOAD)
def test_a_mistake_that_can_be_seen_at_load_is_told_with_file_line_and_remedy(tmp_path: Path, mistake: str) -> None:
    text, line, words = AT_LOAD[mistake]
    file, plugins = drop_in(tmp_path, text)
    (problem,) = plugins.registry.problems
    assert f"{file}:{line}" in f"{problem.where} {problem.message} "
    assert not f"{problem.where} {problem.message}".replace(f"{file}:{line}", "", 1).count(f"{file}:"), "once is enough"
    assert words in problem.message
    assert problem.severity is Severity.ERROR
    assert problem.remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:", "SyntaxError: invalid syntax, {}:3"),
        ("if True:\nx = 1", "IndentationError: expected an indented block after 'if' statement on line 3, {}:4"),
    ],
)
def test_where_a_text_is_no_python_the_error_is_told_once_and_its_place_once(
    tmp_path: Path, text: str, words: str
) -> None:
    file, plugins = drop_in(tmp_path, text)
    (problem,) = plugins.registry.problems
    assert problem.message == words.format(file)


@pytest.mark.parametrize("text", ["", "def helper(run): pass", "from lastcall import hookimpl", "broken = property(1)"])
def test_a_drop_in_that_nobody_would_ever_call_is_a_warning(tmp_path: Path, text: str) -> None:
    file, plugins = drop_in(tmp_path, text)
    (problem,) = plugins.registry.problems
    assert (problem.where, problem.severity) == (str(file), Severity.WARNING)
    assert problem.message == "has no hook, so that nobody ever calls it"
    assert "`@lastcall.hookimpl`" in problem.remedy


@pytest.mark.parametrize(
    "text",
    [
        IMPL + "def pre_shutdown(run): pass",
        "class A:\n    @lastcall.hookimpl\n    def pre_shutdown(self, run): pass\npre_shutdown = A().pre_shutdown",
        "@lastcall.hookimpl(specname='pre_shutdown')\ndef stop(run): pass",
        "@lastcall.hookimpl(optionalhook=True)\ndef of_a_later_lastcall(run): pass",
    ],
)
def test_a_drop_in_with_any_kind_of_hook_is_no_warning(tmp_path: Path, text: str) -> None:
    assert drop_in(tmp_path, text)[1].registry.problems == ()


def fired(plugins: Plugins, hook: str) -> Sequence[Problem]:
    async def story() -> Sequence[Problem]:
        loop = asyncio.get_running_loop()
        settings: Any = parse("hooks: {timeout: 0.4s}").settings(plugins.vocabulary).hooks
        stream = Stream(loop.time)
        stream.story.plan(GUEST)
        context = run_context(loop.time)
        dispatcher = Dispatcher(plugins.registry, settings, context, ThreadWorkers(loop), stream, loop)
        guest = GUEST if "guest" in hook else None
        return (await dispatcher.fire(hook, guest)).problems(guest)

    return asyncio.run(story())


@pytest.mark.parametrize("mistake", IN_A_CALL)
def test_a_mistake_that_shows_in_a_call_is_told_with_file_line_and_remedy(tmp_path: Path, mistake: str) -> None:
    hook, statement, line, words = IN_A_CALL[mistake]
    arguments = "guest, run" if "guest" in hook else "run"
    file, plugins = drop_in(tmp_path, f"{IMPL}def {hook}({arguments}):\n    {statement}")
    assert plugins.registry.problems == ()
    (problem,) = [one for one in fired(plugins, hook) if "bmc" in one.where]
    assert problem.where == f"bmc ({file})"
    assert problem.message.startswith(hook)
    assert words in problem.message
    assert problem.message.endswith(f", {file}:{line}")
    assert problem.remedy


@pytest.mark.parametrize("mistake", EXECUTABLES)
def test_an_executable_that_the_system_would_not_run_is_told_with_the_cause(tmp_path: Path, mistake: str) -> None:
    content, mode, words = EXECUTABLES[mistake]
    file = tmp_path / "hooks.d" / "pre_shutdown" / "10-x"
    file.parent.mkdir(parents=True, mode=0o755)
    file.write_bytes(content)
    file.chmod(mode)
    (problem,) = load(tmp_path / "hooks.d").registry.problems
    assert str(file) in f"{problem.where} {problem.message}"
    assert words in problem.message
    assert problem.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\n", b"#! /bin/sh -e\n", b"#!/bin/sh", b"#!/usr/bin/env sh\n", b"#!/usr/bin/env -S A=b sh -e\n",
        b"#!/bin/sh\nprintf 'a\\r\\n'\r\n", b"\x7fELF\x02\x01\x01\x00", b"#!/usr/bin/env --odd thing\n",
    ],
)  # fmt: skip
def test_an_executable_of_which_nothing_is_wrong_is_used(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "hooks.d" / "pre_shutdown" / "10-x"
    file.parent.mkdir(parents=True, mode=0o755)
    file.write_bytes(content)
    file.chmod(0o755)
    plugins = load(tmp_path / "hooks.d")
    assert plugins.registry.problems == ()
    assert "pre_shutdown/10-x" in [one.plugin for one in plugins.registry.implementations("pre_shutdown")]


def test_env_is_looked_through_with_the_path_that_is_configured(tmp_path: Path) -> None:
    folder = tmp_path / "hooks.d" / "pre_shutdown"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "10-x").write_text("#!/usr/bin/env perl7\n")
    (folder / "10-x").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "perl7").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "perl7").chmod(0o755)
    text = f"paths: {{hooks: {folder.parent}}}\nhooks: {{environment: {{PATH: {tmp_path}/bin}}}}"
    assert Plugins(parse(text).bootstrap).registry.problems == ()


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("check", "check is a hook for Python only"),
        ("on_guest_stuck", "on_guest_stuck is a hook for Python only"),
        ("stop_methods", "stop_methods is a hook for Python only"),
        ("pre_shutdwon", "no hook is called 'pre_shutdwon'; did you mean 'pre_shutdown'?"),
    ],
)
def test_a_folder_whose_executables_nobody_would_run_says_why(tmp_path: Path, folder: str, words: str) -> None:
    (tmp_path / "hooks.d" / folder).mkdir(parents=True, mode=0o755)
    (problem,) = load(tmp_path / "hooks.d").registry.problems
    assert words in problem.message
    assert "pre_shutdown" in problem.remedy


class Class:
    import lastcall

    @lastcall.hookimpl
    def check(self) -> None:
        """Nothing."""


def test_a_class_as_a_plugin_is_told_with_its_place() -> None:
    (problem,) = Plugins(Bootstrap(), {"bmc": Class}).registry.problems
    assert problem.message == f"is a class, {__file__}:{Class.check.__code__.co_firstlineno}"
    assert problem.remedy


def test_names_of_plugins_that_nobody_has_are_warned_of_and_change_nothing() -> None:
    text = "hooks: {first: [acpii], last: [nothing_like_it], block: [databse, ssh], plugins: {comands: {timeout: 5s}}}"
    registry = Plugins(parse(text).bootstrap).registry
    assert [(one.where, one.message.partition("is called ")[2], one.severity) for one in registry.stray_names()] == [
        ("hooks.first", "'acpii'; did you mean 'acpi'?", Severity.WARNING),
        ("hooks.last", "'nothing_like_it'", Severity.WARNING),
        ("hooks.block", "'databse'; did you mean 'databases'?", Severity.WARNING),
        ("hooks.plugins", "'comands'; did you mean 'commands'?", Severity.WARNING),
    ]


GOOD = """
import lastcall
class Hooks:
    @lastcall.hookimpl
    def check(self, run):
        return []
class Method:
    def check(self): pass
check = Hooks().check
@lastcall.hookimpl
def stop_methods():
    yield from ()
@lastcall.hookimpl
def check_guest(guest, run, *, own=1):
    yield from ()
@lastcall.hookimpl
def on_guest_stop(guest, own=None):
    raise lastcall.HookFailed("no", on_failure="skip_guest")
@lastcall.hookimpl(specname="pre_shutdown")
def called_otherwise():
    pass
"""


def test_what_is_odd_and_works_is_not_refused(tmp_path: Path) -> None:
    _, plugins = drop_in(tmp_path, GOOD)
    assert plugins.registry.problems == ()
    hooks = ("check", "stop_methods", "check_guest", "on_guest_stop", "pre_shutdown")
    assert all("bmc" in [one.plugin for one in plugins.registry.implementations(hook)] for hook in hooks)

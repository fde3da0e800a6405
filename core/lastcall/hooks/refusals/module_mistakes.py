"""What a module says to no effect: hooks in a class of which nobody makes an instance, words that mean nothing."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from lastcall.api.markers import PROJECT
from lastcall.errors import OnFailure, Problem
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.reading import read_bytes
from lastcall.threads.own_code import OwnCode

_LARGEST = 4 << 20  # bytes of a module
_MARK = f"{PROJECT}_impl"


def mistakes_of(module: ModuleType) -> Iterator[Problem]:
    """Every such mistake in the module, and in those of its package that it has loaded. Raises nothing."""
    yield from _classes(module)
    for file in _files(module):
        yield from _odd_words(file)


def marked_methods(kind: type) -> list[Any]:
    """The functions of a class that are marked as hooks."""
    found = (getattr(one, "__func__", one) for one in list(vars(kind).values()))
    return [one for one in found if inspect.isfunction(one) and _MARK in vars(one)]


def _classes(module: ModuleType) -> Iterator[Problem]:
    things = list(vars(module).values())
    # Methods of an instance may be among the module's names: then they are called.
    used = {type(one.__self__) for one in things if inspect.ismethod(one)}
    for kind in things:
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and kind not in used:
            methods = marked_methods(kind)
            if methods:
                names = ", ".join(method.__name__ for method in methods)
                message = f"{names}: in the class {kind.__name__}, of which nobody makes an instance"
                remedy = "make functions of the module of them"
                yield Problem(what="plugin", where=OwnCode(methods[0]).definition, message=message, remedy=remedy)


def _files(module: ModuleType) -> Iterable[Path]:
    """The files of the plugin's own modules."""
    root = OwnCode(module).root
    own = [one for name, one in list(sys.modules.items()) if f"{name}.".startswith(f"{root}.")]
    files = (getattr(one, "__file__", None) for one in [module, *own])
    return dict.fromkeys(Path(file) for file in files if isinstance(file, str) and file.endswith(".py"))


def _odd_words(file: Path) -> Iterator[Problem]:
    try:
        code = read_bytes(file, _LARGEST)
        tree = ast.parse(code) if b"on_failure" in code or b"HookFailed" in code else ast.Module([], [])
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        for word in _words_of(node):
            if word.value not in get_args(OnFailure):
                hint = did_you_mean(str(word.value), get_args(OnFailure))
                message = f"on_failure={word.value!r} means nothing{hint}"
                remedy = f"one of {', '.join(get_args(OnFailure))}"
                yield Problem(what="plugin", where=f"{file}:{word.lineno}", message=message, remedy=remedy)


def _words_of(node: ast.AST) -> Iterator[ast.Constant]:
    """What a call of `HookFailed` says as its `on_failure`, where that is written out."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "HookFailed":
        given = [*node.args[2:3], *(one.value for one in node.keywords if one.arg == "on_failure")]
        yield from (one for one in given if isinstance(one, ast.Constant) and one.value is not None)

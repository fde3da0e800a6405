"""What the specifications of the hooks say, in parts."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import lastcall
import lastcall_plugins
from lastcall.hooks import hookspecs
from lastcall.hooks.order import RUN_HOOKS

GROUPS = {"load": "When plugins are loaded", "look": "When somebody asks", "run": "In a run"}
_SENTENCE = re.compile(r"(?<=[.)])\s+(?=[A-Z`])")


@dataclass(frozen=True, kw_only=True)
class HookFacts:
    """One hook. Texts are sentences of its docstring; `arguments` are (name, type, what it is)."""

    name: str
    group: str
    summary: str
    fires: str
    returns: str
    failure: str
    more: str
    signature: str
    arguments: tuple[tuple[str, str], ...]
    result: str
    example: str
    bundled: tuple[str, ...]

    @property
    def for_a_guest(self) -> bool:
        """Whether it fires for each guest."""
        return any(name == "guest" for name, _ in self.arguments)


@cache
def hook_facts() -> tuple[HookFacts, ...]:
    """Every hook, in the order of the specifications."""
    return tuple(_facts(name, spec) for name, spec in vars(hookspecs).items() if hasattr(spec, "lastcall_spec"))


def _facts(name: str, spec: Any) -> HookFacts:
    text = inspect.getdoc(spec) or ""
    prose, _, example = text.partition("\nExample:\n")
    summary, _, body = prose.partition("\n\n")
    said = _SENTENCE.split(" ".join(body.split()))
    kinds = {"Fires": "fires", "Returns": "returns", "When it raises": "failure"}
    parts = dict.fromkeys([*kinds.values(), "more"], "")
    for sentence in said:
        kind = next((kind for start, kind in kinds.items() if sentence.startswith(start)), "more")
        parts[kind] += f"{sentence} "
    node = _function(spec)
    arguments = tuple((one.arg, _type(one.annotation)) for one in node.args.args)
    return HookFacts(
        name=name,
        group=_group(name, arguments),
        summary=summary,
        **{kind: told.strip() for kind, told in parts.items()},
        signature=f"{name}({', '.join(map(': '.join, arguments))}) -> {_type(node.returns)}",
        arguments=arguments,
        result=_type(node.returns),
        example=with_imports(inspect.cleandoc(example)),
        bundled=tuple(sorted(_bundled(name))),
    )


def _group(name: str, arguments: tuple[tuple[str, str], ...]) -> str:
    if name in RUN_HOOKS:
        return "run"
    return "look" if any(argument == "run" for argument, _ in arguments) else "load"


def _function(spec: Any) -> ast.FunctionDef:
    (node,) = ast.parse(inspect.getsource(spec)).body
    assert isinstance(node, ast.FunctionDef)  # noqa: S101  a specification is a function
    return node


def _type(annotation: ast.expr | None) -> str:
    return "None" if annotation is None else ast.unparse(annotation).strip("'\"")


def with_imports(example: str) -> str:
    """An example as a whole file: with the imports of the API, which nobody would want to read in every docstring."""
    tree = ast.parse(example)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    own = {name for name in lastcall.__all__ if name in used}
    options = {name for name in ("Options", "StepOptions", "Duration", "Secret") if name in used}
    segments = [_segment(example, node) for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    given = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [f"from lastcall import {', '.join(sorted(own))}"] if own else []
    ours += [f"from lastcall.options import {', '.join(sorted(options))}"] if options else []
    head = [block for block in ("\n".join(given), "\n".join(ours)) if block]
    return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join(segments) + "\n"


def _segment(text: str, node: ast.stmt) -> str:
    """The lines of a statement, its decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(one.lineno for one in decorators)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _bundled(hook: str) -> Iterator[str]:
    for found in pkgutil.iter_modules(lastcall_plugins.__path__):
        function = getattr(importlib.import_module(f"lastcall_plugins.{found.name}"), hook, None)
        if hasattr(function, "lastcall_impl"):
            yield found.name

"""The public API on one page: signatures and first sentences, from the source of each name."""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import lastcall
import lastcall.options
import lastcall.testing
from book.since import since

MODULES: tuple[ModuleType, ...] = (lastcall, lastcall.options, lastcall.testing)
_PROSE = {
    "lastcall": "For every plugin. The standard library and pluggy are all that it imports.",
    "lastcall.options": "For the options of plugins: pydantic models. Imported by who declares options.",
    "lastcall.testing": "For tests ([Testing](testing.md)).",
}


@dataclass(frozen=True)
class Named:
    """One public name, with the statement of the source that makes it, and the text behind that, if there is one."""

    module: str
    name: str
    node: ast.stmt
    text: str


def public_names(module: ModuleType) -> list[str]:
    """What others may import from a module: its `__all__`, or what it defines itself without an underscore."""
    listed: list[str] | None = getattr(module, "__all__", None)
    return list(listed) if listed is not None else sorted(_defined(_source(module)))


def named(module: ModuleType) -> Iterator[Named]:
    """The public names of a module, in order. Raises LookupError for one whose source cannot be found."""
    for name in public_names(module):
        home = _home(module, name)
        node, text = _defined(_source(home)).get(name, (None, ""))
        if node is None:
            raise LookupError(f"{home.__name__} does not define {name}")
        yield Named(module.__name__, name, node, text)


def api_text() -> str:
    """The page as Markdown."""
    told = "What is not here is not for plugins. Made from the source; with each name the version that brought it."
    parts = ["# The API on one page", told]
    for module in MODULES:
        parts += [f"## {module.__name__}", _PROSE[module.__name__]]
        parts += [_entry(one) for one in named(module)]
    return "\n\n".join(parts) + "\n"


def _entry(one: Named) -> str:
    head = f"### {one.name}\n\n*since {since(one.module, one.name)}*"
    lines = list(signature_lines(one.node))
    signature = "```text\n" + "\n".join(lines) + "\n```"
    return "\n\n".join(part for part in (head, _first(one.text), signature) if part)


def _home(module: ModuleType, name: str) -> ModuleType:
    """The module whose source makes the name."""
    value = getattr(module, name)
    if name in _defined(_source(module)):
        return module
    home = getattr(value, "__module__", None)
    if isinstance(home, str) and home.split(".")[0] == "lastcall" and name in _defined(_source(sys.modules[home])):
        return sys.modules[home]
    loaded = [one for key, one in sys.modules.items() if key.startswith("lastcall.") and one is not module]
    return next(one for one in loaded if vars(one).get(name) is value and name in _defined(_source(one)))


def _source(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _defined(tree: ast.Module) -> dict[str, tuple[ast.stmt, str]]:
    """The public names that a module's own statements make, each with its docstring."""
    found: dict[str, tuple[ast.stmt, str]] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = (node, ast.get_docstring(node) or "")
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = (node, _said(after))
    return {name: one for name, one in found.items() if not name.startswith("_") and not _is_variable(one[0])}


def _said(node: ast.stmt | None) -> str:
    """The text of a statement that is nothing but a text: what stands behind a constant."""
    text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
    return text if isinstance(text, str) else ""


def _is_variable(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and "TypeVar" in ast.unparse(node.value)


def _first(text: str) -> str:
    """The first paragraph's first sentence."""
    line = " ".join(text.split("\n\n")[0].split())
    head, stop, _ = line.partition(". ")
    return head + "." if stop else line


def signature_lines(node: ast.stmt) -> Iterator[str]:
    """What a statement offers: its signature, and behind four spaces its members, each with its first sentence."""
    if isinstance(node, ast.FunctionDef):
        yield _function(node)
    elif isinstance(node, ast.ClassDef):
        told = (ast.unparse(base) for base in node.bases)
        bases = ", ".join(base for base in told if not base.startswith("_"))  # what is private is nobody's to rely on
        yield f"class {node.name}({bases})" if bases else f"class {node.name}"
        yield from _members(node)
    else:
        yield _assigned(node)


def _members(node: ast.ClassDef) -> Iterator[str]:
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and (one.name == "__init__" or not one.name.startswith("_")):
            yield from _member(one)
        elif isinstance(one, ast.AnnAssign | ast.Assign):
            yield f"    {_assigned(one)}"


def _member(node: ast.FunctionDef) -> Iterator[str]:
    marks = {ast.unparse(one) for one in node.decorator_list}
    if marks & {"property", "cached_property"}:
        yield f"    {node.name}: {_type(node.returns)}  # read only"
    else:
        yield f"    {'classmethod ' if 'classmethod' in marks else ''}{_function(node)}"
    text = ast.get_docstring(node)
    if text:
        yield f"        {_first(text)}"


def _assigned(node: ast.stmt) -> str:
    """A field or a constant; how pydantic and dataclasses are told of it is no matter for a reader."""
    text = ast.unparse(node)
    if isinstance(node, ast.AnnAssign):
        made = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in {"field", "Field"}
        value = "" if node.value is None or made else f" = {_type(node.value)}"
        return f"{ast.unparse(node.target)}: {_type(node.annotation)}{value}"
    return f"{text.split('[')[0]}[{text.split('[')[1].split(',')[0]}, …]" if " = Annotated[" in text else text


def _function(node: ast.FunctionDef) -> str:
    for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        one.annotation = one.annotation and ast.Name(_type(one.annotation))
    arguments = ast.unparse(node.args).removeprefix("self").removeprefix(", ")
    return f"{node.name}({arguments}) -> {_type(node.returns)}"


def _type(node: ast.expr | None) -> str:
    """A type without the quotes that only keep imports away."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return node.value
    return "None" if node is None else ast.unparse(node)

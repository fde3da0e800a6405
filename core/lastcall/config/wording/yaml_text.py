"""What the YAML parser stumbles over, in words that help who has not read its specification."""

import json
import re

import yaml

from lastcall.config.wording.yaml_structure import broken_structure

_WORD = re.compile(r"[^\s,\[\]{}]{1,80}")
_NO_BEGINNING = frozenset("%@`")
_INDICATORS = {"*": "an alias", "&": "an anchor"}


def yaml_mistake(error: yaml.MarkedYAMLError, text: str) -> tuple[yaml.Mark | None, str, str]:
    """Where, what is wrong, and what helps: by what stands there, as both parsers have words of their own."""
    message, remedy = _at_place(error, text)
    broken = None if message else broken_structure(error, text)
    return broken or (error.problem_mark or error.context_mark, message or str(error.problem or error.context), remedy)


def _at_place(error: yaml.MarkedYAMLError, text: str) -> tuple[str, str]:
    """What one sign there is that is wrong, and what helps; empty where it is not one."""
    there, before = _from(text, error.problem_mark), _from(text, error.context_mark)
    if there.startswith("\t") and _is_indentation(text, getattr(error.problem_mark, "index", 0)):
        return "a tab stands here, and YAML is indented with spaces alone", "write spaces in its place"
    if there[:1] in _NO_BEGINNING and "cannot start" in (error.problem or ""):
        return f"nothing may begin with {there[0]!r}", quote_it(there)
    if before[:1] in _INDICATORS and "scanning" in (error.context or ""):
        return f"{before[0]!r} begins {_INDICATORS[before[0]]}, which needs a name", quote_it(before)
    return "", ""


def quote_it(text: str) -> str:
    """What helps where a text begins with a sign that means something in YAML."""
    found = _WORD.match(text)
    return f"quote what is meant as a text: {json.dumps(found[0], ensure_ascii=False)}" if found else ""


def _is_indentation(text: str, end: int) -> bool:
    """Whether nothing stands before a place in its line, but what lists and keys begin with."""
    return not text[text.rfind("\n", 0, end) + 1 : end].strip(" \t?-")


def _from(text: str, mark: yaml.Mark | None) -> str:
    """The text from a place on, as far as one looks at it."""
    return text[mark.index : mark.index + 100] if mark else ""

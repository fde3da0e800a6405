"""A page for each hook, made from its specification."""

from book.firing import picture
from book.hook_facts import HookFacts

_THREADS = {
    "load": "The thread that loads plugins, one after the other, each in a time box of its own.",
    "look": "A worker thread. Those for one guest come one after another, those of different guests may come at once.",
    "run": "A worker thread. Those for one guest come one after another, those of different guests at the same time.",
}
_REHEARSALS = {
    "load": "Fires in every command that loads plugins: change nothing.",
    "look": "`run.rehearsal` is true wherever nothing is about to be stopped: change nothing.",
    "run": "`lastcall hook {name}{guest}` fires it alone, with `run.rehearsal` true: change nothing then.",
}


def hook_text(facts: HookFacts) -> str:
    """The page as Markdown."""
    rows = [
        ("fires", facts.fires.removeprefix("Fires ")),
        ("returns", f"`{facts.result}`: {facts.returns.removeprefix('Returns ')}"),
        ("failure", facts.failure),
        ("rehearsal", _rehearsal(facts)),
        ("thread", _THREADS[facts.group]),
        ("bundled plugins", ", ".join(f"`{name}`" for name in facts.bundled) or "none"),
    ]
    parts = [
        f"# {facts.name}",
        facts.summary,
        f"```text\n{facts.signature}\n```",
        _arguments(facts),
        "\n".join(["| | |", "| --- | --- |", *(f"| **{name}** | {_cell(text)} |" for name, text in rows)]),
        facts.more,
        f"## Example\n\n```python\n{facts.example}```",
        _when(facts),
        "What holds for all hooks: [Hooks](../../hooks.md). Every name: [the API](../api.md).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rehearsal(facts: HookFacts) -> str:
    return _REHEARSALS[facts.group].format(name=facts.name, guest=" --guest GUEST" if facts.for_a_guest else "")


def _arguments(facts: HookFacts) -> str:
    if not facts.arguments:
        return "It takes no arguments."
    rows = [f"| `{name}` | `{kind}` |" for name, kind in facts.arguments]
    return "\n".join(["| argument, left out where it is not needed | type |", "| --- | --- |", *rows])


def _cell(text: str) -> str:
    return (text[:1].upper() + text[1:]).replace("|", r"\|") if text else ""


def _when(facts: HookFacts) -> str:
    if facts.group != "run":
        return ""
    told = "In a run of two guests, of which `web` needs `db`, and `db` is deaf to its power button:"
    return f"## When it fires\n\n{told}\n\n```text\n{picture(facts.name)}\n```"

"""The table of contents: every page of the site and where it stands."""

from collections.abc import Mapping, Sequence  # noqa: TC003  in a text below, where it is not seen
from pathlib import Path
from typing import Any, TypeAlias

from book.hook_facts import GROUPS, hook_facts

Navigation: TypeAlias = "Sequence[Mapping[str, str | Navigation]]"

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = "authors/api.md"

OPERATORS = {
    "Installing": "install.md",
    "Coming from libvirt-guests": "migrate.md",
    "Ansible": "ansible.md",
    "Configuration": "configuration.md",
    "Order, ladders, deadline": "ordering.md",
    "Guests that wait for other hosts": "watch.md",
    "Commands and the report": "commands.md",
    "What would go wrong tonight": "check.md",
    "The page in Cockpit": "cockpit.md",
    "Drills": "drill.md",
    "Shedding": "shedding.md",
    "Moving guests": "moving.md",
    "One host at a time": "one-host-at-a-time.md",
    "When the host sleeps": "sleep.md",
    "Guest agent": "agent.md",
    "SSH": "ssh.md",
    "Commands in guests": "guest-commands.md",
    "Databases": "databases.md",
    "Messages elsewhere": "notify.md",
    "Ready-made drop-ins": "samples.md",
    "UPS": "ups.md",
    "Monitoring": "monitoring.md",
    "Troubleshooting": "troubleshooting.md",
    "Security": "security.md",
    "Reliability": "reliability.md",
    "Performance": "performance.md",
}
AUTHORS = {
    "First drop-in": "authors/first-drop-in.md",
    "First package": "authors/first-package.md",
    "Hooks": "hooks.md",
    "Executables": "authors/executables.md",
    "Options": "authors/options.md",
    "Stop methods": "authors/stop-methods.md",
    "Guest shells": "authors/guest-shells.md",
    "Commands": "authors/commands.md",
    "Testing": "authors/testing.md",
    "Debugging": "authors/debugging.md",
    "What of pluggy holds": "authors/pluggy.md",
    "The API on one page": API,
}
PROJECT = {
    "The house on one page": "architecture.md",
    "What stays as it is": "compatibility.md",
    "Dependencies": "dependencies.md",
    "Contributing": "CONTRIBUTING.md",
    "Changelog": "CHANGELOG.md",
    "Security problems": "SECURITY.md",
}
_PARTS = (OPERATORS, AUTHORS, PROJECT)
# Pages that do not stand in docs/.
ELSEWHERE = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "SECURITY.md": "SECURITY.md",
             "CONTRIBUTING.md": "CONTRIBUTING.md", "contrib/ansible/lastcall/README.md": "ansible.md"}  # fmt: skip


def hook_page(hook: str) -> str:
    """Where a hook's page stands."""
    return f"authors/hooks/{hook}.md"


def navigation() -> Navigation:
    """The pages in their order, as the generator wants them."""
    hooks: Navigation = [
        {title: [{facts.name: hook_page(facts.name)} for facts in hook_facts() if facts.group == group]}
        for group, title in GROUPS.items()
    ]
    operators, authors, project = ([{title: page} for title, page in part.items()] for part in _PARTS)
    return [
        {"lastcall": "index.md"},
        {"On a host": operators},
        {"Plugins": authors},
        {"Every hook": hooks},
        {"The project": project},
    ]


def configuration() -> dict[str, Any]:
    """What the generator is told. Nothing of the site comes from elsewhere: no fonts, no scripts."""
    return {
        "site_name": "lastcall",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,  # so that it can be read from a folder, without a server
        "theme": {"name": "material", "font": False, "features": ["navigation.indexes", "content.code.copy"]},
        "extra": {"generator": False},
        "nav": navigation(),
        "markdown_extensions": [
            "tables", "attr_list", "pymdownx.superfences", "pymdownx.highlight", {"toc": {"permalink": True}},
        ],
    }  # fmt: skip

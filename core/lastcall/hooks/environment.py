"""The environment of the programs that we start: what is defined here and configured, and nothing of our own.

Ours differs between systemd, cron and a terminal, and may hold what is nobody else's: `CREDENTIALS_DIRECTORY` leads to
every secret of the unit.
"""

import os
from collections.abc import Mapping

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LANG = "C.UTF-8"  # what is printed can be read, whoever starts us in whatever language
UMASK = 0o022


def program_environment(
    configured: Mapping[str, str] | None = None, facts: Mapping[str, str] | None = None
) -> dict[str, str]:
    """`PATH`, `LANG` and `HOME`, over them what `hooks.environment` adds, and over that what we tell (`LASTCALL_…`)."""
    return {"PATH": PATH, "LANG": LANG, "HOME": _home(), **(configured or {}), **(facts or {})}


def tool_environment() -> dict[str, str]:
    """The same for the system's own tools, which are found where our caller finds them."""
    return program_environment({"PATH": os.environ.get("PATH", PATH)})


def _home() -> str:
    import pwd  # here: hardly any run starts a program

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"

"""The live view in the documentation, off a terminal: `python -m book.live_view --write`, as `make pictures` does.

The program itself is run, on guests of libvirt's test driver and a pseudo-terminal. Its times differ from run to run;
all else a test holds against what is in the page.
"""

import re
import sys
import tempfile
from pathlib import Path

from lab.screen import Screen

PAGE = Path(__file__).parents[1] / "commands.md"
BEGIN, END = "<!-- live view: made by `make pictures` -->\n\n```\n", "```\n\n<!-- live view: end -->"
CONFIG = """\
connections: ["test:///default"]
paths: {{state: {folder}/state, run: {folder}/run, hooks: {folder}/hooks.d}}
guests:
  - {{match: "db-*", stop: [{{acpi: {{timeout: 5min, resend: 2s}}}}, save]}}
  - {{match: "web-*", depends_on: ["db-*"]}}
"""
DROPIN = """\
import lastcall
from lastcall.hypervisor.bare_connection import make_world
from lastcall.options import RepeatableOptions

WORLD = make_world(["db-1", "db-2", "mail", "scratch", "web-1", "web-2", "files"])

class Acpi(lastcall.StopMethod):
    name, options, repeatable = "acpi", RepeatableOptions, True
    def request(self, call):
        if call.guest.name in {"scratch", "web-1", "web-2"} or call.attempt > 3:
            call.run.domain(call.guest).shutdown("default")

@lastcall.hookimpl
def stop_methods():
    return [Acpi()]

@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "mail":
        run.log("142 messages are on their way")
        run.sleep(5)
"""


def capture() -> str:
    """What somebody sees in the middle of a shutdown, on a terminal of 80 x 24."""
    with tempfile.TemporaryDirectory(prefix="lastcall-live-") as name:
        folder = Path(name).resolve()
        for part in ("state", "run", "hooks.d"):
            (folder / part).mkdir(mode=0o755)
        (folder / "config.yaml").write_text(CONFIG.format(folder=folder))
        (folder / "hooks.d" / "10-drain.py").write_text(DROPIN)
        command = [sys.executable, "-m", "lastcall", "--config", folder / "config.yaml", "shutdown", "--yes"]
        screen = Screen([*command, "--reason", "reboot"])
        screen.until(lambda: screen.text.count("asked again (2)") == 2 and "files  acpi" in screen.text, "the middle")
        shown = screen.text
        screen.end()
        return shown


def without_times(shown: str) -> str:
    """The same where times, and what they fill, are no matter."""
    times = re.compile(r"\b(?:\d+min)?\d+(?:\.\d+)?s?\b(?= left| of|,|$| )", re.MULTILINE)
    shown = re.sub(r"█*░", "░", times.sub("0s", shown))
    return re.sub(r"[ ░]+", " ", shown)


def in_page() -> str:
    """What the page shows."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0].rstrip()


def _write() -> None:
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{capture()}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    if "--write" in sys.argv:
        _write()
    else:
        print(capture())

"""Completions in the real shells, keys pressed on a terminal: what stands there then is the guest that was meant."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from lab.patience import LONGEST
from lastcall.api.guests import Guest, GuestState
from lastcall.installation.shared_data.completion import SCRIPTS
from lastcall.persistence.state import StateFile
from support import PROGRAM, write_config

ODD = ["my guest", "it's", 'say "hi"', "a:b=c", "$HOME `x`", "~x", "back\\slash", "ünder", "new\nline", "q*?[b]"]
QUIET = 1.0
"""Seconds without output, after which a shell has done what a key asked of it."""
SETUP = {
    "bash": "PS1='ready> '; source {script}; args() {{ printf '%s\\0' \"$@\" >{told}.new; mv {told}.new {told}; }}\n",
    "zsh": "PS1='ready> '; autoload -U compinit; compinit -u -D; source {script}; "
    "args() {{ printf '%s\\0' \"$@\" >{told}.new; mv {told}.new {told} }}\n",
}
START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def listed(folder: Path, *names: str) -> Path:
    """A configuration with these guests on the list of those to bring back."""
    config = write_config(folder, "test:///default")
    (folder / "state").mkdir(exist_ok=True)
    state = StateFile(folder / "state")
    guests = [
        Guest(uri="test:///default", uuid=str(number), name=name, driver="TEST", state=GuestState.RUNNING)
        for number, name in enumerate(names)
    ]
    state.add(guests, run="r", boot_id="b", cause="host", due=False)
    state.save()
    return config


def surroundings(folder: Path, config: Path) -> dict[str, str]:
    """The environment of a shell that has the program, and nothing of whoever runs the tests."""
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    ours = {"PATH": path, "TERM": "dumb", "HOME": str(folder), "LANG": "C.UTF-8", "LASTCALL_CONFIG": str(config)}
    return {**ours, **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}}


class Terminal:
    """A shell with completions on a terminal."""

    def __init__(self, shell: str, folder: Path, config: Path) -> None:
        script = folder / f"completion.{shell}"
        script.write_text(SCRIPTS[shell])
        self._told = folder / "told"
        environment = surroundings(folder, config)
        self._own, theirs = pty.openpty()
        self._process = subprocess.Popen(
            START[shell],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            cwd=folder,
        )
        os.close(theirs)
        self.press(SETUP[shell].format(script=script, told=self._told))

    def press(self, keys: str) -> str:
        """Press keys; returns what is shown until the shell is quiet."""
        os.write(self._own, keys.encode())
        shown, ends = b"", time.monotonic() + LONGEST
        while time.monotonic() < ends and select.select([self._own], [], [], QUIET)[0]:
            shown += os.read(self._own, 1 << 16)
        return shown.decode(errors="replace")

    def words_after(self, keys: str) -> list[str]:
        """What the shell takes the line for, once these keys are pressed."""
        self._told.unlink(missing_ok=True)
        self.press(keys)
        self.press("\x01args \n")
        ends = time.monotonic() + LONGEST
        while not self._told.exists() and time.monotonic() < ends:
            time.sleep(0.05)
        return self._told.read_text().split("\0")[:-1]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._own)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_key_writes_a_guest_as_one_word_whatever_is_in_its_name(shell: str, tmp_path: Path) -> None:
    terminal = Terminal(shell, tmp_path, listed(tmp_path, *ODD))
    try:
        assert terminal.words_after("lastcall stat\t") == ["lastcall", "status"]
        for name in ODD:
            begun = {"~x": "\\~", "$HOME `x`": "\\$"}.get(name, name[0])
            assert terminal.words_after(f"lastcall restore {begun}\t") == ["lastcall", "restore", name], name
        assert terminal.words_after("lastcall restore 'my\t") == ["lastcall", "restore", "my guest"]
        assert terminal.words_after('lastcall restore "my g\t') == ["lastcall", "restore", "my guest"]
        assert terminal.words_after("lastcall restore a:b\t") == ["lastcall", "restore", "a:b=c"]
        assert terminal.words_after("lastcall restore 'my guest' sa\t") == [
            "lastcall",
            "restore",
            "my guest",
            'say "hi"',
        ]
    finally:
        terminal.close()


def test_fish_offers_the_names_and_what_they_are_in_our_order(tmp_path: Path) -> None:
    config = listed(tmp_path, "db-12", "db-2", *ODD)
    script = tmp_path / "lastcall.fish"
    script.write_text(SCRIPTS["fish"])
    environment = surroundings(tmp_path, config)

    def offered(line: str) -> list[str]:
        command = f"source {script}; complete -C (cat)"
        done = subprocess.run(
            ["fish", "--no-config", "-c", command], input=line, capture_output=True, text=True, env=environment
        )
        return [one.partition("\t")[0] for one in done.stdout.splitlines()]

    assert offered("lastcall restore db") == ["db-2", "db-12"]
    assert offered("lastcall restore my") == ["my guest"]
    assert offered("lastcall restore 'my g") == ["my guest"]
    assert "status" in offered("lastcall stat")
    assert offered("lastcall plan --rea") == ["--reason"]
    assert len(offered("lastcall restore ")) >= len(ODD) + 2

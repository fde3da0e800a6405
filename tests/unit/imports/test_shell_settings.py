"""Settings as real shells read them, and as we do without one: the same value, or it is said that it is not known."""

import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lastcall.imports.libvirt_guests import DEFAULTS, GuestsSettings, read_settings
from lastcall.imports.shell_settings import NotRead, shell_settings

# What runs libvirt-guests.sh on Debian, on Fedora and Arch, and on Alpine.
SHELLS = [command for command in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(command[0])]
READ = [
    "ON_BOOT=ignore",
    "  ON_BOOT=ignore",
    "\t ON_BOOT=ignore \t",
    "ON_BOOT=",
    "ON_BOOT=''",
    'ON_BOOT=""',
    "ON_BOOT='ignore'",
    'ON_BOOT="ignore"',
    "ON_BOOT='ig'\"no\"re",
    "ON_BOOT=ig\\nore",
    "ON_BOOT=ignore # a comment",
    "ON_BOOT=ignore#none",
    "ON_BOOT=ignore'#none'",
    "ON_BOOT='it # is not'",
    "#ON_BOOT=ignore",
    "# a comment \\\nON_BOOT=ignore",
    "# a comment \\\\\\\nON_BOOT=ignore",
    "# it's \"one\nON_BOOT=ignore",
    "ON_BOOT=ig\\\nnore",
    "ON_\\\nBOOT=ignore",
    "ON_BOOT=\\\nignore",
    "ON_BOOT=ignore \\\n# and this is one\nSYNC_TIME=1",
    "ON_BOOT=ignore\\\n#none",
    'ON_BOOT="ig\\\nnore"',
    "ON_BOOT='ig\\\nnore'",
    "ON_BOOT='ig\nnore'",
    'URIS="qemu:///system\n  lxc:///system"',
    'URIS="a\\$b"',
    'URIS="a\\`b"',
    'URIS="a\\"b"',
    'URIS="a\\\\b"',
    'URIS="a\\b\\n"',
    "URIS='a\\b'",
    "URIS=a\\$b\\'c\\\\",
    "URIS='$HOME `id` $(id)'",
    "URIS='a'\\''b'",
    'URIS="it\'s"',
    "URIS='\"'",
    "URIS=a\\ b\\;c\\&d",
    "URIS=a$",
    'URIS="a$"',
    'URIS="$ a $/"',
    "URIS=$/x",
    "URIS=qemu+ssh://root@host/system?socket=/run/x*y",
    "URIS=qemu+ssh://[::1]/system",
    "URIS=qemu:///system=x",
    "URIS={a,b}",
    "URIS=a~b",
    "URIS='~'",
    "URIS='a' ON_BOOT=ignore",
    "URIS=a; ON_BOOT=ignore;",
    "URIS=a;ON_BOOT=ignore # both",
    "export ON_BOOT=ignore",
    "export ON_BOOT='ignore' SYNC_TIME=1",
    "export ON_BOOT",
    "ON_BOOT=ignore\nON_BOOT=start",
    'URIS="$URIS lxc:///system"',
    "URIS=$URIS",
    "URIS=${URIS}x",
    "MORE=lxc:///system\nURIS=\"qemu:///system $MORE\"",
    "A=b\nexport URIS=\"$A\" SYNC_TIME=1",
    "URIS='a b'\nURIS=$URIS",
    "ON_BOOT=ignore\n\n\n   \n#\n#\nSYNC_TIME=1",
    "\r\nON_BOOT=ignore",
    "URIS=h\u00e4user\u00a0x",
    "ON_BOOT=ig\0nore",
    "PARALLEL_SHUTDOWN=010",
    "START_DELAY=1.5",
    "START_DELAY=2m",
    "SHUTDOWN_TIMEOUT=0",
    "ON_BOOT=!",
    "ON_BOOT=if",
    "# and with that alone \x85SYNC_TIME=1 \u2028SYNC_TIME=1\nON_BOOT=ignore # 'it",
]  # fmt: skip
NOT_READ = [
    "ON_BOOT=$(echo ignore)",
    "ON_BOOT=$(echo \")\" ignore)\nSYNC_TIME=1",
    "ON_BOOT=$(case x in x) echo no;; esac)\nSYNC_TIME=1",
    "ON_BOOT=`echo ignore`",
    "ON_BOOT=`echo \\`echo ignore\\``\nSYNC_TIME=1",
    "ON_BOOT=\"`echo 'ig\"nore'`\"\nSYNC_TIME=1",
    "ON_BOOT=$((1 + 2))",
    "ON_BOOT=${ON_BOOT:-ignore}",
    "ON_BOOT=${OTHER:-ignore}",
    "ON_BOOT=${OTHER:-'a}b'}\nSYNC_TIME=1",
    "ON_BOOT=$OTHER",
    "ON_BOOT=\"$OTHER\"",
    "ON_BOOT=$1",
    "ON_BOOT=$$",
    "ON_BOOT=$'ignore'",
    "ON_BOOT=$'ig\\'nore'\nSYNC_TIME=1",
    "ON_BOOT=$\"ignore\"",
    "URIS=~",
    "URIS=a:~/b",
    "export URIS=~/x",
    "A='b c'\nexport URIS=$A",
    "export URIS=*",
    "export URIS={a,b}",
    "ON_BOOT+=x",
    "ON_BOOT =ignore",
    "ON_BOOT= ignore",
    "ON_BOOT=ignore true",
    "ON_BOOT=ignore :",
    "ON_BOOT=ignore export SYNC_TIME=1",
    "ON_BOOT=ignore >/dev/null",
    "ON_BOOT=ignore &",
    "ON_BOOT=ignore | true",
    "! ON_BOOT=ignore",
    "true && ON_BOOT=ignore",
    "false && ON_BOOT=ignore",
    "false ||\nON_BOOT=ignore",
    "true |\nON_BOOT=ignore",
    "if true; then ON_BOOT=ignore; fi",
    "if false; then\n ON_BOOT=ignore\nfi\nSYNC_TIME=1",
    "if false\nthen\nON_BOOT=ignore\nelif false\nthen\nON_BOOT=x\nelse\nON_BOOT=y\nfi",
    "while false; do\nON_BOOT=ignore\ndone",
    "until true; do ON_BOOT=ignore; done\nSYNC_TIME=1",
    "for one in ignore start; do\nON_BOOT=$one\ndone",
    "for ON_BOOT in ignore; do true; done",
    "case x in\n x) ON_BOOT=ignore;;\n (y|z) SYNC_TIME=1\nesac\nBYPASS_CACHE=1",
    "case x in y) echo esac; esac\nON_BOOT=ignore",
    "{ ON_BOOT=ignore; }",
    "( ON_BOOT=ignore )",
    "(\nON_BOOT=ignore\n)",
    "f() {\nON_BOOT=ignore\n}\n",
    "f() {\nON_BOOT=ignore\n}\nf",
    "f() { return 1; }\nON_BOOT=ignore",
    "f()\nON_BOOT=ignore\nSYNC_TIME=1",
    "f()\n\r\nON_BOOT=ignore",
    "f () (\nON_BOOT=ignore\n)\n",
    "function f {\nON_BOOT=ignore\n}\n",
    "cat <<END >/dev/null\nON_BOOT=ignore\nEND\nSYNC_TIME=1",
    "cat <<'END' >/dev/null\nit's\nEND\nON_BOOT=ignore",
    ". ./other",
    "eval ON_BOOT=ignore",
    "unset ON_BOOT",
    "readonly ON_BOOT=ignore",
    "read ON_BOOT < /dev/null",
    "return\nON_BOOT=ignore",
    "true && return\nON_BOOT=ignore",
    "if true; then\nreturn\nfi\nON_BOOT=ignore",
    "exit 0\nON_BOOT=ignore",
    "exec true\nON_BOOT=ignore",
    "URIS='open\nON_BOOT=ignore",
    'URIS="open\nON_BOOT=ignore',
    "URIS=`open\nON_BOOT=ignore",
    "URIS=$(open\nON_BOOT=ignore",
    "URIS=${open\nON_BOOT=ignore",
    "URIS=(a b)\nON_BOOT=ignore",
    "URIS[0]=a",
    "ON_BOOT=ignore;;\nSYNC_TIME=1",
    "ON_BOOT=ignore; }\nSYNC_TIME=1",
    "fi\nON_BOOT=ignore",
    "ON_BOOT=ignore; URIS='open",
    "; ON_BOOT=ignore",
    "[ -e /nowhere ] && {\nON_BOOT=ignore\n}",
    "[[ -e /nowhere ]] && ON_BOOT=ignore",
    "\ufeffON_BOOT=ignore",
    "ON_BOOT=ignore\r\nSYNC_TIME=1\r\n",
    "URIS='qemu:///system\r'",
    "SHUTDOWN_TIMEOUT=010",
    "SHUTDOWN_TIMEOUT=soon",
    "SHUTDOWN_TIMEOUT=",
    "SHUTDOWN_TIMEOUT=' 5'",
    "START_DELAY=1week",
    "echo 'a\nON_BOOT=ignore'",
    "true \\\nON_BOOT=ignore",
    "ON_BOOT=\nOTHER=${ON_BOOT:=ignore}",
    "ON_BOOT=1\nOTHER=$((ON_BOOT = 5))",
    "ON_BOOT=1\nexport OTHER=\"$((2 + (ON_BOOT += 5)))\"",
    "A=1\nunset A\nON_BOOT=$A",
    "ON_BOOT-X=ignore",
    "1ON_BOOT=ignore",
    "'ON_BOOT'=ignore",
    "ON\\_BOOT=ignore",
    "select ON_BOOT in a; do break; done </dev/null",
    "ON_BOOTS=ignore",
]  # fmt: skip
# What files are made of, to be put together at random: whole lines, pieces of words, and what tears them apart.
PIECES = [
    *("ON_BOOT=", "SYNC_TIME=", "URIS=", "A=", "export ", "ignore", "start", "1", "x y", " ", "  ", "\t"),
    *("\n", "\n", "\n", ";", "&&", "||", "|", "&", "(", ")", "{ ", " }", "#", " # ", "'", "'", '"', '"', "\\", "\\\n"),
    *("$", "$A", "${A}", "$(", "`", "${A:-x}", "\\$", "\r\n", "~", "*", "<<", ">/dev/null", "!", ";;", "=", "\\'"),
    *(
        "if true; then\n",
        "if false; then\n",
        "\nelse\n",
        "\nfi\n",
        "case x in x) ",
        " esac\n",
        "f() {\n",
        "\n}\n",
        "f()\n",
    ),
    *(
        "for i in a b; do\n",
        "\ndone\n",
        "return",
        "true ",
        "false ",
        "ON_BOOT=ignore\n",
        "ON_BOOT=start\n",
        "SYNC_TIME=1\n",
    ),
]
ROUNDS = 12
UNSET = "unset"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/home/somebody"}
FILES_A_ROUND = 12


def in_shell(shell: list[str], folder: Path, text: str) -> dict[str, str] | None:
    """What these variables are after a shell has read the text, as libvirt-guests.sh has it read; None = it gave up."""
    file = folder / "settings"
    file.write_text(text)
    before = "; ".join(f"{name}={value}" for name, value in DEFAULTS.items())
    after = "; ".join(f"printf '%s\\000' \"${{{name}-{UNSET}}}\"" for name in DEFAULTS)
    done = subprocess.run(
        [*shell, "-c", f"{before}; . {file} >/dev/null 2>&1; {after}"],
        capture_output=True, check=False, cwd=folder, env=ENVIRONMENT, timeout=20, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return dict(zip(DEFAULTS, done.stdout.decode().split("\0"), strict=False)) if done.stdout else None


def silently_different(found: GuestsSettings, real: Mapping[str, str] | None) -> list[str]:
    """The settings that are not what the shell makes of them, and of which nothing is said."""
    said = [what for _, what in found.unread]
    if any("nothing is read" in what or "is no assignment" in what for what in said):
        return []
    if real is None:
        return ["it gave up"]
    return [
        name for name, value in found.values.items() if value != real[name] and not any(name in what for what in said)
    ]


def wrongly_sure(text: str, real: Mapping[str, str] | None) -> list[str]:
    """The settings that differ although they are plainly set behind everything that is not understood."""
    sure = dict[str, str]()
    for one in shell_settings(text, DEFAULTS):
        if isinstance(one, NotRead):
            sure.clear()
        elif one.value is not None:
            sure[one.name] = one.value
        else:
            sure.pop(one.name, None)
    return [name for name, value in sure.items() if real and name in real and real[name] != value]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("text", READ)
def test_what_is_plain_is_read_as_shells_read_it(shell: list[str], text: str, tmp_path: Path) -> None:
    found = read_settings(text)
    assert found.unread == []
    assert found.values == in_shell(shell, tmp_path, text)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("text", NOT_READ)
def test_what_only_a_shell_can_know_is_said_with_its_line(shell: list[str], text: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("ON_BOOT=ignore\n")
    found = read_settings(text)
    assert found.unread
    assert all(1 <= line <= text.count("\n") + 1 for line, _ in found.unread)
    real = in_shell(shell, tmp_path, text)
    assert silently_different(found, real) == []
    assert wrongly_sure(text, real) == []


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_nothing_that_is_put_together_at_random_is_silently_different(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(FILES_A_ROUND):
        text = "".join(chance.choices(PIECES, k=chance.randint(2, 14)))
        found = read_settings(text)
        for shell in SHELLS:
            real = in_shell(shell, tmp_path, text)
            assert silently_different(found, real) == [], (shell, text, found, real)
            assert wrongly_sure(text, real) == [], (shell, text, found, real)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_shapes_one_behind_the_other_are_not_silently_different(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    (tmp_path / "other").write_text("ON_BOOT=ignore\n")
    for _ in range(FILES_A_ROUND):
        shapes = [*chance.choices(READ, k=chance.randint(1, 4)), *chance.choices(NOT_READ, k=chance.randint(0, 1))]
        chance.shuffle(shapes)
        text = "\n".join(shapes)
        found = read_settings(text)
        for shell in SHELLS:
            real = in_shell(shell, tmp_path, text)
            assert silently_different(found, real) == [], (shell, text, found, real)
            assert wrongly_sure(text, real) == [], (shell, text, found, real)

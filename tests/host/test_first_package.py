"""docs/authors/first-package.md, word for word, by somebody with an account on a fresh Debian and nothing else."""

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from doc_blocks import Block, Terminal, blocks, fits, typed
from host.conftest import RELEASES
from lab.host import Host, host, host_image
from lab.wheels import wheels
from packages.distributions import build

PAGE = "authors/first-package.md"
HOME = "/home/author"


@pytest.fixture
def debian(tmp_path: Path) -> Generator[Host]:
    """Of the release whose Python the wheels are for. There is no network: what an index would have lies in folders."""
    with ExitStack() as stack:
        made = stack.enter_context(host(stack.enter_context(host_image(RELEASES[0]))))
        made.shown.update({"/wheels": wheels(), "/today": build("wheel", tmp_path / "today").parent})
        made.boot()
        # As Debian's installer has it: without, libvirt complains that the host does not know itself.
        made.run("echo 127.0.1.1 $(hostname) >> /etc/hosts")
        made.run("rm -r /opt/lastcall /usr/local/bin/lastcall && useradd --create-home author")
        yield made


def terminal(debian: Host) -> Terminal:
    """The author's; variables say where packages come from, which on a machine with a network nobody has to."""
    enter = ["nsenter", "--target", str(debian.leader()), "--all", "/usr/sbin/runuser", "--user", "author", "--"]
    environment = {
        "HOME": HOME, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels /today", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip
    return Terminal(Path("/"), environment, where=enter)


def put(debian: Host, block: Block) -> None:
    """Write a file of the page where the page says that it belongs."""
    path = f"{HOME}/{block.title}"
    debian.run(f"test -e {path} && cat > {path}", given=block.text)


def test_the_tutorial_ends_with_an_installed_plugin_whose_hook_fired(debian: Host) -> None:
    done = list[str]()
    with terminal(debian) as author:
        author.run(f"cd {HOME}")
        for block in blocks(PAGE):
            if block.title:
                put(debian, block)
            if block.language != "console":
                continue
            for one in typed(block.text):
                said, code = author.run(one.command)
                assert code == 0, f"$ {one.command}\n{said}"
                assert fits(said, one.prints), f"$ {one.command}\n{said}\nand not\n" + "\n".join(one.prints)
                done.append(one.command)
        assert author.run("cat bell") == ("ding ding ding \n", 0), "three times, as it is configured"
        whose, _ = author.run("python -c 'import lastcall_bell; print(lastcall_bell.__file__)'")
    assert whose.startswith(f"{HOME}/host/venv/lib/"), "what was built, not the source"
    assert {"lastcall plugins new bell", "python3 -m build", "lastcall shutdown --yes"} <= set(done)
    assert [block.title.rpartition("/")[2] for block in blocks(PAGE) if block.title] == [
        "options.py",
        "__init__.py",
        "test_plugin.py",
    ]

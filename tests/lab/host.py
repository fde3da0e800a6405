"""A whole host in a container: systemd as process 1, a libvirtd of its own, real QEMU guests, real poweroffs.

The image is a Debian 12 or 13 on which the README's commands were run, as they stand there; made once per machine, and
per change of those commands or of the project's dependencies. Each test's host is an overlay over it, and has today's
lastcall in it. Everything runs in namespaces that end with the process that made them, however that ends.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from compileall import compile_dir
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.booted import booted, linux_xml
from lab.cache import CACHE, made_once
from lab.image import build as build_guest
from lab.patience import LONGEST, wait_until
from lab.processes import qemu_of
from lab.saved import save_as

PROJECT = Path(__file__).parents[2]
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "iproute2", "procps", "ca-certificates", "libvirt-daemon-system",
    "libvirt-clients", "qemu-system-x86", "seabios", "python3", "dnsmasq-base", "iptables", "bsdutils",
)  # fmt: skip
# For the tests of the mains. Elsewhere its units would say at every boot that nobody has set it up.
_NUT = ("nut-server", "nut-client")
_NUT_IS_OFF = "systemctl -q disable $(find /lib/systemd/system -type f -name 'nut*' ! -name '*@*' -printf '%f\\n')"
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_SHIPPED = (
    "core", "plugins", "hooks.d", "contrib", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md",
    "SECURITY.md", "LICENSE",
)  # fmt: skip
# libvirtd's own TCP and TLS sockets are enabled when it is installed into a folder, and fail without certificates.
SETUP = """\
set -e
printf 'user = "root"\\ngroup = "root"\\ncgroup_controllers = [ ]\\nstdio_handler = "file"\\n' > /etc/libvirt/qemu.conf
mkdir -p /etc/systemd/journald.conf.d /var/log/guests /lab
printf '[Journal]\\nStorage=persistent\\n' > /etc/systemd/journald.conf.d/lab.conf
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\\nInhibitDelayMaxSec=100ms\\n' > /etc/systemd/logind.conf.d/lab.conf
systemctl -q disable libvirtd-tcp.socket libvirtd-tls.socket
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer systemd-udev-trigger.service
rm -f /var/lib/libvirt/libvirt-guests
"""
# What libvirt finds out about QEMU before it answers, which takes a second of a processor, is then known on all hosts.
_ASK_QEMU = """\
mount -t proc proc /proc
libvirtd --daemon
until virsh -c qemu:///system version; do kill -0 $(cat /run/libvirtd.pid) && sleep 0.2; done
rm -rf /run/libvirt* /var/log/libvirt/*
"""
# Says which machine QEMU means by q35: another one in each release.
_MACHINE = "qemu-system-x86_64 -machine help | grep '^q35 '"
# Two hosts in one control group would kill each other's processes.
_TREES = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
_ENTER = """\
for tree in {trees}; do
    if [ -e $tree/cgroup.procs ]; then mkdir $tree/{name}; echo 0 > $tree/{name}/cgroup.procs; fi
done
mkdir -p {folder}/root
mount -t tmpfs tmpfs /run
mount -t overlay overlay -o lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work {folder}/root
exec systemd-nspawn --quiet --directory={folder}/root --machine={name} --boot --private-network --capability=all \\
    --register=no --keep-unit --timezone=off --console=read-only {binds}
"""


def readme_commands() -> list[str]:
    """The commands of the README's section on installing, a line each."""
    section = (PROJECT / "README.md").read_text().split("\n## Install\n", 1)[1]
    return re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[0].splitlines()


def install_commands() -> tuple[list[str], list[str]]:
    """The README's commands: those that put the program on the host, and those that need a host that runs."""
    commands = readme_commands()
    first = next(index for index, command in enumerate(commands) if command.startswith("lastcall install"))
    return commands[:first], commands[first:]


@cache
def build(release: str) -> Path:
    """The folder of a release's image."""
    dependencies = (PROJECT / "pyproject.toml").read_text().split("[project.entry-points")[0]
    text = Path(__file__).read_text().split("@contextmanager")[0] + dependencies + "\n".join(install_commands()[0])
    name = f"host-{release}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return made_once(name, lambda root: _make(root, release))


def _make(root: Path, release: str) -> None:
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    with package_sources(release) as sources:
        _run(
            "mmdebstrap", "--quiet", "--variant=apt", "--mode=root", '--aptopt=Apt::Install-Recommends "false"',
            "--dpkgopt=force-unsafe-io", *leave_out, f"--include={','.join((*PACKAGES, *_NUT))}",
            release, str(root), str(sources),
        )  # fmt: skip
    ship(root / "usr/src/lastcall")
    commands = "\n".join(install_commands()[0])
    first = "set -e\nexport DEBIAN_FRONTEND=noninteractive\ncd /usr/src/lastcall"
    script = f"{first}\n{_assume_yes(commands)}\n{SETUP}{_NUT_IS_OFF}"
    with connected(root) as options:
        _run("unshare", "--mount", "sh", "-e", "-c", f"{options}\nexec chroot {root} sh -c {shlex.quote(script)}")
    shutil.rmtree(root / "usr/src/lastcall")
    _run("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "chroot", str(root), "sh", "-ec", _ASK_QEMU)


def _assume_yes(commands: str) -> str:
    """A person would say yes to apt."""
    return commands.replace("apt-get install ", "apt-get update -q && apt-get install -y -q ")


@cache
def own_machine() -> str:
    """What `_MACHINE` says here."""
    return subprocess.run(["sh", "-c", _MACHINE], check=True, capture_output=True, text=True).stdout


@contextmanager
def package_sources(release: str) -> Generator[Path]:
    """This machine's own sources of packages, for a release that need not be its own."""
    own = next(path for path in _SOURCES if path.exists())
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        path = Path(scratch) / own.name
        path.write_text(own.read_text().replace("bookworm", release))
        yield path


@contextmanager
def connected(root: Path) -> Generator[str]:
    """How this machine reaches its package registries, for as long as the image is made."""
    lines = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
    made: list[Path] = []
    for name in ("etc/resolv.conf", "etc/pip.conf", "etc/xdg/pip", "etc/ssl/certs", "etc/apt/apt.conf.d"):
        source, target = Path("/") / name, root / name
        if not source.exists():
            continue
        if not target.exists():
            made.append(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.mkdir() if source.is_dir() else target.touch()
        lines.append(f"mount --bind {source} {target}")
    try:
        yield "\n".join(lines)
    finally:
        for target in made:
            target.rmdir() if target.is_dir() else target.unlink()


def ship(folder: Path) -> None:
    """Copy the source, as it is today, into a folder that is not there yet."""
    folder.mkdir(parents=True)
    for name in _SHIPPED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def site_packages(image: Path) -> Path:
    """The folder that the program's packages are in, from the root of the image on: it is named after its Python."""
    (found,) = image.glob("opt/lastcall/lib/python3.*/site-packages")
    return found.relative_to(image)


@contextmanager
def host_image(release: str) -> Generator[Path]:
    """Today's lastcall as a layer over a release's image; returns what to give to overlayfs as lower folders."""
    image = build(release)
    site = site_packages(image)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        layer = Path(scratch) / "layer"
        for name, source in (("lastcall", "core"), ("lastcall_plugins", "plugins")):
            target = layer / site / name
            shutil.copytree(PROJECT / source / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            compile_dir(target, ddir=f"/{site}/{name}", quiet=1)  # as pip does
            os.setxattr(target, "trusted.overlay.opaque", b"y")  # nothing of the image's shines through
        (facts,) = (image / site).glob("lastcall-*.dist-info")
        (layer / site / facts.name).mkdir()
        points = re.findall(r"^\[project\.entry-points\.(\S+)\]\n(.*?)\n\n", (PROJECT / "pyproject.toml").read_text(),
                            re.MULTILINE | re.DOTALL)  # fmt: skip
        console = "[console_scripts]\nlastcall = lastcall.cli.main:main\n\n"
        told = "\n\n".join(f"[{group}]\n" + text.replace('"', "") for group, text in points)
        (layer / site / facts.name / "entry_points.txt").write_text(console + told + "\n")
        yield Path(f"{layer}:{image}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the journal: its time in seconds on the host's monotonic clock, unit, message and fields."""

    at: float
    unit: str
    message: str
    fields: dict[str, Any]


_REBOOTED = 133  # systemd-nspawn's exit code where somebody else is to start it again


class Host:
    """One host. It is off until `boot`. `shown`: further folders of this machine that it sees, by its paths."""

    def __init__(self, lower: Path, folder: Path) -> None:
        self.folder = folder
        self.name = f"lab-{os.getpid()}-{secrets.token_hex(4)}"
        self._lower = lower
        self._process: subprocess.Popen[bytes] | None = None
        self.shown: dict[str, Path] = {}
        self._systemd = 0
        for name in ("upper", "work", "saved"):
            (folder / name).mkdir()

    @property
    def upper(self) -> Path:
        """What the host has written, as seen from outside."""
        return self.folder / "upper"

    def boot(self) -> None:
        """Power on, and wait until everything is started."""
        self.power_on()
        self.wait_until(self._is_running, "the host comes up")

    def wait_until(self, condition: Callable[[], object], what: str, *, pause: float = 0.2) -> None:
        """Wait for something that happens on the host."""
        assert self._process is not None
        wait_until(condition, what, process=self._process.pid, output=self.console, pause=pause)

    def _is_running(self) -> bool:
        return self.run("systemctl is-system-running", check=False).strip() in {"running", "degraded"}

    def power_on(self) -> None:
        """Power on, and wait only until processes can be started in it."""
        kernel, _ = build_guest()
        shown = {"/lab": kernel.parent, "/saved": self.folder / "saved", **self.shown}
        binds = " ".join(f"--bind-ro={path}:{target}" for target, path in shown.items())
        _sweep_groups()
        remove_groups(self.name)
        script = _ENTER.format(
            folder=self.folder, lower=self._lower, name=self.name, binds=binds, trees=" ".join(_TREES)
        )
        words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
                 "--mount-proc", "sh", "-e", "-c", script]  # fmt: skip
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._systemd = 0
        self.wait_until(self._answers, "the host starts", pause=0.05)

    def _answers(self) -> bool:
        answer = self.run("systemctl show --property=Version", check=False)
        self._systemd = self._systemd if answer else 0  # it was not that one
        return bool(answer)

    def run(self, script: str, *, check: bool = True, given: str | None = None) -> str:
        """Run a script in the host as root; returns what it prints."""
        try:
            leader = self.leader()
        except ProcessLookupError:
            if check:
                raise
            return ""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        command = ["nsenter", "--target", str(leader), "--all", "sh", "-c", script]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LONGEST, check=False, env=environment, input=given
        )
        if check and done.returncode:
            raise RuntimeError(f"{script}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + ("" if check else done.stderr if done.returncode == 0 else "")

    def leader(self) -> int:
        """The process id of its systemd, as seen from here; raises ProcessLookupError."""
        self._systemd = self._systemd or self._find_systemd()
        return self._systemd

    def look(self, looks: Iterable[tuple[str, str]]) -> None:
        """Run commands that have to say something; each of these is (command, what)."""
        for command, said in looks:
            assert said in self.run(command), command

    def tries(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script that may fail."""
        command = ["nsenter", "--target", str(self.leader()), "--all", "sh", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)

    def stop(self, script: str = "systemctl --no-block poweroff") -> float:
        """Have it stop, and wait until it is off; returns how long that took."""
        began = time.monotonic()
        self.run(script, check=False)
        self.wait_until_off()
        return time.monotonic() - began

    def wait_until_off(self) -> None:
        """Wait until it is off, or is about to boot again."""
        process = self._process
        assert process is not None
        self.wait_until(lambda: process.poll() is not None, "the host goes off", pause=0.02)

    def is_off(self) -> bool:
        """Whether nothing of it runs."""
        return self._process is None or self._process.poll() is not None

    def pull_the_plug(self) -> None:
        """Kill everything in it; its last processes have ended then."""
        if self._process is not None and not self.is_off():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        wait_until_groups_are_gone(self.name)

    def console(self) -> str:
        """Everything that was written to its console."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def boots_again(self) -> bool:
        """Whether one that is off by now was rebooted, and not powered off."""
        assert self._process is not None
        return self._process.wait() == _REBOOTED

    def guests(self, **switches: str) -> None:
        """Have guests that are up; the switches are those of `lab.image`."""
        # To another release's QEMU our saved guests would wake up, and read somebody else's words for their switches.
        wakes = self.run(_MACHINE) == own_machine()
        for name, words in switches.items():
            log = Path(f"/var/log/guests/{name}.log")
            xml = linux_xml(name, words, folder=Path("/lab"), log=log, agent=False)
            known = self.run(f"virsh -q define /dev/stdin && virsh dumpxml --inactive '{name}'", given=xml)
            if not wakes:
                self.run(f"virsh -q start '{name}'")
                continue
            saved = self.folder / "saved" / name
            save_as(saved, known, booted(agent=False))
            self.run(f"virsh -q restore '/saved/{name}'")
            saved.unlink()
        for name in switches:
            self.wait_until_up(name)

    def wait_until_up(self, name: str) -> None:
        """Wait until a guest says that it is up."""
        assert self._process is not None

        def up() -> bool:
            return "guest is up" in self.serial(name).rsplit("\f", 1)[-1]

        qemu = qemu_of(self._process.pid, name)
        wait_until(up, f"{name} is up", process=qemu, output=lambda: self.serial(name))

    def serial(self, name: str) -> str:
        """What a guest has said on its serial console since it was started."""
        path = self.upper / f"var/log/guests/{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def cut_off(self, *names: str) -> dict[str, str]:
        """The guests whose own shutdown did not run to the end, and what they said last."""
        said = {name: self.serial(name) for name in names}
        return {
            name: text[-500:]
            for name, text in said.items()
            if "guest is going down" not in text or "Power down" not in text
        }

    def running(self) -> set[str]:
        """The names of the guests that run."""
        return set(self.tries("virsh -q list --name").stdout.split())

    def journal(self, *, boot: int = 0) -> list[Entry]:
        """The journal of a boot, 0 being the latest; also of a host that is off."""
        folder = self.upper / "var/log/journal"
        command = ["journalctl", "-D", str(folder), "-b", str(boot), "-o", "json", "--no-pager", "-q", "--all"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [_entry(json.loads(line)) for line in text.splitlines()]

    def _find_systemd(self) -> int:
        assert self._process is not None
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (path / "comm").read_text().strip() == "systemd" and self._is_ours(int(path.name)):
                    return int(path.name)
            except OSError:
                continue
        raise ProcessLookupError("the host is off")

    def _is_ours(self, process: int) -> bool:
        assert self._process is not None
        for _ in range(4):
            if process == self._process.pid:
                return True
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            process = int(fields[1])
        return False


def _entry(fields: dict[str, Any]) -> Entry:
    message = fields.get("MESSAGE", "")
    text = message if isinstance(message, str) else bytes(message or []).decode(errors="replace")
    unit = fields.get("UNIT") or fields.get("_SYSTEMD_UNIT", "")
    return Entry(int(fields["__MONOTONIC_TIMESTAMP"]) / 1e6, unit, text, fields)


@contextmanager
def host(lower: Path) -> Generator[Host]:
    """A host that is off; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lastcall-host-", dir=CACHE))
    made = Host(lower, folder)
    try:
        yield made
    finally:
        made.pull_the_plug()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_groups_are_gone(name: str) -> None:
    """Remove the control groups of a host whose last processes may still be ending."""
    wait_until(lambda: not remove_groups(name), f"the control groups of {name} go", output=lambda: str(_groups(name)))


def _sweep_groups() -> None:
    """Remove what hosts have left whose maker was killed. The others' may be empty, as they are about to be entered."""
    for group in _groups("lab-*"):
        if not Path("/proc", group.name.split("-")[1]).exists():
            remove_groups(group.name)


def remove_groups(name: str) -> list[Path]:
    """Remove the control groups of a host that is off; returns those in use."""
    groups = _groups(name)
    # By walk: a glob fails where a group goes while it looks, as those of a host that is just ending do.
    for below in (below for group in groups for below, _, _ in os.walk(group, topdown=False)):
        with contextlib.suppress(OSError):  # it is in use
            Path(below).rmdir()
    return _groups(name)


def _groups(name: str) -> list[Path]:
    return [one for tree in _TREES for one in Path(tree).glob(name)]


def join_hosts(one: Host, other: Host) -> None:
    """Have two hosts reach each other, as 10.31.0.1 and 10.31.0.2, as long as both run."""
    first, second = (f"cable netns {host.leader()}" for host in (one, other))
    subprocess.run(["sh", "-ec", f"ip link add {first} type veth peer name {second}"], check=True)
    for number, host in enumerate((one, other), start=1):
        host.run(f"ip address add 10.31.0.{number}/24 dev cable; ip link set cable up")

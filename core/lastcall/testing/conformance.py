"""What lastcall relies on in a guest shell and in a stop method of somebody else's, as suites for their tests."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lastcall.api.guests import Guest, Outcome
from lastcall.api.markers import hookimpl
from lastcall.api.run import PluginOptions, Run
from lastcall.api.shell import GuestShell, Shell
from lastcall.api.stopping import StopMethod
from lastcall.errors import CommandTimeout, LastcallError, in_words
from lastcall.guest_shell.command_wrapper import OUTPUT_LIMIT
from lastcall.options import RepeatableOptions, StepOptions
from lastcall.testing.failures import LabFailure
from lastcall.testing.guest import LabGuest
from lastcall.testing.lab import Lab

AT_ONCE = 1.0  # seconds of real time, generous: `unfit` must not wait
_SLOW = 600.0  # seconds that a guest takes to go off in the lab: nobody who returns at once has waited for it
_ODD_WORDS = ("", " ", "a b", "it's", '"quoted"', "$HOME", "`id`", "*", "-n", "two\nlines", "\\", "é", "日本")


def _plain_guest(lab: Lab) -> LabGuest:
    return lab.guest("guest", agent=True)


class NotConforming(LabFailure):
    """What lastcall relies on and does not get, all of it."""

    def __init__(self, what: str, failures: Sequence[str]) -> None:
        super().__init__(f"{what} does not do what lastcall relies on:\n" + "\n".join(f"- {one}" for one in failures))
        self.failures = tuple(failures)


def check_shell_provider(
    shell: GuestShell,
    *,
    guest: Callable[[Lab], LabGuest] = _plain_guest,
    config: str = "",
    options: PluginOptions | None = None,
    plugin: str = "conformance",
    patience: float = 60.0,
) -> None:
    """Have a guest shell execute commands, through the same frame as in production; raises NotConforming.

    It has to reach something that has `/bin/sh`, `setsid`, `head`, `cat` and `sleep`, as every guest has: for the test
    that may be this machine. `guest` defines the guest, with what the shell needs (`addresses=…`, `settings=…`).
    `options` are what the shell's plugin, of this name, declares; `config`, the lab's configuration, sets them.
    """
    failures = [*_wrong_name(shell.name, "guest shell")]
    if not failures:
        trial = _ShellTrial(shell, options)
        with tempfile.TemporaryDirectory(prefix="lastcall-lab-") as folder:
            lab = Lab(Path(folder), plugins={plugin: trial}, config=config, patience=patience)
            lab.fire("on_guest_stop", guest(lab))
        failures = trial.failures
    if failures:
        raise NotConforming(f"the guest shell {shell.name!r}", failures)


def check_stop_method(
    method: StopMethod[Any],
    *,
    guest: Callable[[Lab], LabGuest] = _plain_guest,
    config: str = "",
    options: PluginOptions | None = None,
    plugin: str = "conformance",
) -> None:
    """Have a stop method ask a guest in the lab, once and again, and take that back; raises NotConforming.

    `guest` defines the guest, and `config` is the lab's configuration, with what the method needs to be of use, and a
    ladder with it. `options`, `plugin`: see `check_shell_provider`.
    """
    failures = [*_wrong_name(method.name, "stop method"), *_wrong_declarations(method)]
    if not failures:
        offers = {plugin: _MethodTrial(method, options)}
        failures += _asked(method, offers, config, guest)
        failures += _refused(method, offers, config, guest)
    if failures:
        raise NotConforming(f"the stop method {method.name!r}", failures)


def _wrong_name(name: object, kind: str) -> list[str]:
    fits = isinstance(name, str) and name.isidentifier() and name == name.lower()
    return [] if fits else [f"`name` of a {kind} is a word in lower-case letters, not {name!r}"]


class _Trial:
    """A plugin with the options of the one whose offer is tried."""

    def __init__(self, options: PluginOptions | None) -> None:
        self._options = options or PluginOptions()

    @hookimpl
    def plugin_options(self) -> PluginOptions:
        """Theirs."""
        return self._options


class _ShellTrial(_Trial):
    """Gives the commands of the suite in a hook of its own."""

    def __init__(self, shell: GuestShell, options: PluginOptions | None) -> None:
        super().__init__(options)
        self._provider = shell
        self.failures: list[str] = []

    @hookimpl
    def guest_shells(self) -> list[GuestShell]:
        """The one under test."""
        return [self._provider]

    @hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        """Try it."""
        began = time.monotonic()
        why = self._provider.unfit(guest, run)
        if time.monotonic() - began > AT_ONCE:
            self.failures.append("`unfit` must not wait")
        if why is not None:
            self.failures.append(f"it is unfit for the guest of the suite: {why!r}")
            return
        shell = run.shell(guest, use=[self._provider.name])
        for name, trial in _TRIALS.items():
            try:
                wrong = trial(shell)
            except Exception as error:  # noqa: BLE001  the suite tells of it together with all others
                wrong = in_words(error)
            if wrong:
                self.failures.append(f"{name}: {wrong}")


def _echo(shell: Shell) -> str:
    result = shell.run("echo out; echo err >&2; exit 3")
    got = (result.stdout, result.stderr.strip(), result.exit_code)
    return "" if got == ("out\n", "err", 3) else f"expected ('out\\n', 'err', 3), got {got}"


def _odd_words(shell: Shell) -> str:
    script = 'for word in "$@"; do printf "%s\\0" "$word"; done'
    got = shell.run(["/bin/sh", "-c", script, "sh", *_ODD_WORDS]).stdout.split("\0")[:-1]
    return "" if tuple(got) == _ODD_WORDS else f"{list(_ODD_WORDS)} arrived as {got}"


def _input(shell: Shell) -> str:
    data = bytes(range(256)) * 400
    got = shell.run("wc -c", input=data).stdout.strip()
    return "" if got == str(len(data)) else f"of {len(data)} bytes {got} arrived"


def _environment(shell: Shell) -> str:
    got = shell.run('printf %s "$LASTCALL_TRIAL"', env={"LASTCALL_TRIAL": "it's\n$HOME"}).stdout
    return "" if got == "it's\n$HOME" else f"arrived as {got!r}"


def _limit(shell: Shell) -> str:
    result = shell.run(f"head -c {OUTPUT_LIMIT * 3} /dev/zero")
    good = result.truncated and len(result.stdout) == OUTPUT_LIMIT
    return "" if good else f"{len(result.stdout)} bytes came, truncated={result.truncated}"


def _timeout(shell: Shell) -> str:
    try:
        shell.run("sleep 60", timeout=1)
    except CommandTimeout:
        return ""
    return "a command that sleeps for 60 s with timeout=1 ended well"


def _again(shell: Shell) -> str:
    got = [shell.run(f"echo {number}").stdout for number in range(3)]
    return "" if got == ["0\n", "1\n", "2\n"] else f"three commands printed {got}"


_TRIALS: dict[str, Callable[[Shell], str]] = {
    "output, errors and exit code are told apart": _echo,
    "words arrive as they are": _odd_words,
    "input arrives whole, whatever its bytes": _input,
    "the environment arrives": _environment,
    "output is cut at the limit": _limit,
    "a command is over when its time is": _timeout,
    "one session takes several commands": _again,
}


class _MethodTrial(_Trial):
    """Offers one stop method."""

    def __init__(self, method: StopMethod[Any], options: PluginOptions | None) -> None:
        super().__init__(options)
        self._method = method

    @hookimpl
    def stop_methods(self) -> list[StopMethod[Any]]:
        """The one under test."""
        return [self._method]


def _wrong_declarations(method: StopMethod[Any]) -> list[str]:
    failures: list[str] = []
    # Whoever runs no type checker may have declared anything.
    outcome, options = cast("object", method.outcome), cast("object", method.options)
    if not isinstance(outcome, Outcome):
        failures.append(f"`outcome` is an Outcome, not {outcome!r}")
    if not (isinstance(options, type) and issubclass(options, StepOptions)):
        return [*failures, f"`options` is a subclass of StepOptions, not {options!r}"]
    try:
        options()
    except ValueError as error:
        failures.append(f"its options need no value, so that `stop: [{method.name}]` is enough: {in_words(error)}")
    return failures


def _ladder(method: StopMethod[Any], config: str) -> str:
    return config or f"defaults: {{stop: [{{{method.name}: {{timeout: 60s}}}}, {{acpi: {{timeout: 1s}}}}]}}"


def _asked(
    method: StopMethod[Any], offers: Mapping[str, object], config: str, define: Callable[[Lab], LabGuest]
) -> list[str]:
    """A guest that takes longer than it has: the method asks, asks again, and takes that back."""
    with tempfile.TemporaryDirectory(prefix="lastcall-lab-") as folder:
        lab = Lab(Path(folder), plugins=offers, config=_ladder(method, config))
        guest = define(lab)
        guest.fake.takes = _SLOW
        guest.is_deaf_to("acpi")
        began = time.monotonic()
        report = lab.shutdown(deadline=_SLOW / 2)
        took = time.monotonic() - began
    mine = [one for one in report.guests[0].attempts if one.method == method.name]
    if not mine:
        return ["the ladder never came to it"]
    failures: list[str] = []
    first = mine[0]
    if first.result == "skipped":
        failures.append(f"it is unfit for the guest of the suite: {first.message!r}")
    elif first.result == "failed":
        failures.append(f"its request failed: {first.message}")
    if issubclass(method.options, RepeatableOptions) and took > 10 * AT_ONCE:
        failures.append(f"what can be asked again returns at once, the ladder alone waits: it took {took:.1f} s")
    return failures


def _refused(
    method: StopMethod[Any], offers: Mapping[str, object], config: str, define: Callable[[Lab], LabGuest]
) -> list[str]:
    """libvirt refuses everything: a request that was refused is never told as one that was made."""
    with tempfile.TemporaryDirectory(prefix="lastcall-lab-") as folder:
        lab = Lab(Path(folder), plugins=offers, config=_ladder(method, config))
        lab.tolerates(LastcallError)
        guest = define(lab)
        ways = (
            "acpi",
            "agent",
            "default",
            "save",
            "migrate",
            "destroy",
            "graceful",
            *(f"signal {n}" for n in range(65)),
        )
        guest.refuses(*ways)
        report = lab.shutdown(deadline=_SLOW)
        asked = [how for how in guest.asked if how != "acpi"]
    mine = [one for one in report.guests[0].attempts if one.method == method.name]
    if asked and mine and mine[0].result not in {"failed", "skipped"}:
        return [f"it hides that libvirt refused its request: the attempt is {mine[0].result}"]
    return []

"""The suites for other people's guest shells and stop methods find what lastcall could not live with."""

import subprocess
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from lastcall import (
    Command,
    CommandResult,
    Guest,
    GuestShell,
    HypervisorError,
    LastcallError,
    Outcome,
    PluginOptions,
    Run,
    ShellSession,
    StopMethod,
    StopRequest,
)
from lastcall.options import Options, RepeatableOptions
from lastcall.testing import NotConforming, check_shell_provider, check_stop_method
from lastcall_plugins.acpi import Acpi
from lastcall_plugins.agent import Agent
from lastcall_plugins.destroy import Destroy
from lastcall_plugins.save import Save

Change = Callable[[Command], Command]


class Here(GuestShell, ShellSession):
    """A guest shell whose guest is this machine; what a subclass changes is wrong with it."""

    name: ClassVar[str] = "here"

    def connect(self, guest: Guest, run: Run) -> "Here":
        """There is nothing to open."""
        return self

    def execute(self, command: Command) -> CommandResult:
        """Run it here."""
        began = time.monotonic()
        done = self.program(command)
        return self.result(done, time.monotonic() - began)

    def program(self, command: Command) -> "subprocess.CompletedProcess[bytes]":
        """As it is meant."""
        return subprocess.run(
            command.argv, input=command.input, capture_output=True, timeout=command.timeout + 10, check=False
        )

    def result(self, done: "subprocess.CompletedProcess[bytes]", seconds: float) -> CommandResult:
        """As it is meant."""
        out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return CommandResult(
            exit_code=done.returncode, stdout=out, stderr=err, truncated=False, duration=seconds, shell=self.name
        )

    def close(self) -> None:
        """There is nothing to close."""


def test_a_shell_that_does_what_it_should_conforms() -> None:
    check_shell_provider(Here())


class Where(Options):
    """What the plugin of a shell lets people set."""

    via: str = "nowhere"


class Elsewhere(Here):
    """Goes where its plugin's options, of the host or of the guest, tell it to."""

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Where nothing leads there."""
        ways = [run.options(Where).via, run.options(Where, guest).via]
        return None if "here" in ways else f"leads to {' and '.join(ways)}"


WHERE = PluginOptions(settings=Where, guest=Where)


def test_a_shell_that_reads_its_plugins_options_is_tried_with_them() -> None:
    for config in ("plugins: {gate: {via: here}}", "guests: [{match: guest, gate: {via: here}}]"):
        check_shell_provider(Elsewhere(), options=WHERE, config=config, plugin="gate")
    with pytest.raises(NotConforming, match="leads to nowhere and nowhere"):
        check_shell_provider(Elsewhere(), options=WHERE, plugin="gate")


class DropsInput(Here):
    """Keeps the beginning of the input, in which the frame's environment is."""

    def program(self, command: Command) -> "subprocess.CompletedProcess[bytes]":
        """With less."""
        return subprocess.run(command.argv, input=command.input[:6000], capture_output=True, check=False)


class JoinsWords(Here):
    """Makes a command line of the words, and quotes none."""

    def program(self, command: Command) -> "subprocess.CompletedProcess[bytes]":
        """By a shell in between."""
        line = ["/bin/sh", "-c", " ".join(command.argv)]
        return subprocess.run(line, input=command.input, capture_output=True, check=False)


class MixesOutput(Here):
    """Cannot tell the two outputs apart."""

    def result(self, done: "subprocess.CompletedProcess[bytes]", seconds: float) -> CommandResult:
        """Both in both."""
        both = (done.stdout + done.stderr).decode("utf-8", "replace")
        return CommandResult(exit_code=0, stdout=both, stderr=both, truncated=False, duration=seconds, shell=self.name)


class Unfit(Here):
    """Is of no use here."""

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Say so."""
        return "there is no cable"


class Misnamed(Here):
    """Has a name that no configuration can name."""

    name: ClassVar[str] = "My Shell"


@pytest.mark.parametrize(
    ("shell", "sentence"),
    [
        (DropsInput(), "input arrives whole"),
        (JoinsWords(), "words arrive as they are"),
        (MixesOutput(), "output, errors and exit code are told apart"),
        (Unfit(), "there is no cable"),
        (Misnamed(), "lower-case letters"),
    ],
)
def test_a_shell_that_falls_short_is_told_where(shell: GuestShell, sentence: str) -> None:
    with pytest.raises(NotConforming, match=sentence):
        check_shell_provider(shell)


@pytest.mark.parametrize("method", [Acpi(), Agent(), Destroy(), Save()], ids=lambda method: method.name)
def test_our_own_stop_methods_conform(method: StopMethod[Any]) -> None:
    check_stop_method(method)


class Asks(StopMethod[RepeatableOptions]):
    """A stop method by the power button; what a subclass changes is wrong with it."""

    name: ClassVar[str] = "asks"
    options = RepeatableOptions

    def request(self, call: StopRequest[RepeatableOptions]) -> None:
        """Press it."""
        call.run.domain(call.guest).shutdown("acpi")


def test_a_stop_method_that_does_what_it_should_conforms() -> None:
    check_stop_method(Asks())


class AsksBy(Asks):
    """Asks in the way that its plugin's options say."""

    def request(self, call: StopRequest[RepeatableOptions]) -> None:
        """Press it, or not."""
        if call.run.options(Where).via != "button":
            raise LastcallError("nobody has said how")
        super().request(call)


def test_a_stop_method_that_reads_its_plugins_options_is_tried_with_them() -> None:
    ladder = "defaults: {stop: [{asks: {timeout: 60s}}, {acpi: {timeout: 1s}}]}"
    options = PluginOptions(settings=Where)
    check_stop_method(AsksBy(), options=options, config=f"{ladder}\nplugins: {{gate: {{via: button}}}}", plugin="gate")
    with pytest.raises(NotConforming, match="nobody has said how"):
        check_stop_method(AsksBy(), options=options, config=ladder, plugin="gate")


class HidesRefusals(Asks):
    """Claims what libvirt did not confirm."""

    def request(self, call: StopRequest[RepeatableOptions]) -> None:
        """Hide it."""
        try:
            call.run.domain(call.guest).save()
        except HypervisorError:
            return


class Fails(Asks):
    """Breaks."""

    def request(self, call: StopRequest[RepeatableOptions]) -> None:
        """Break."""
        raise HypervisorError("the box is not there")


class NeedsOptions(Asks):
    """Cannot be named alone."""

    class Needs(RepeatableOptions):
        """What it needs."""

        address: str

    options = Needs  # pyright: ignore[reportAssignmentType]


class WrongOutcome(Asks):
    """Says what became of a guest in words of its own."""

    outcome: ClassVar[Outcome] = "gone"  # pyright: ignore[reportAssignmentType]


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (HidesRefusals(), "hides that libvirt refused"),
        (Fails(), "the box is not there"),
        (NeedsOptions(), "its options need no value"),
        (WrongOutcome(), "is an Outcome"),
    ],
)
def test_a_stop_method_that_falls_short_is_told_where(method: StopMethod[Any], sentence: str) -> None:
    with pytest.raises(NotConforming, match=sentence):
        check_stop_method(method)

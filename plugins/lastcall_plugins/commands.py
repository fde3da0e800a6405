"""Commands in guests, before they stop (`on_guest_stop`) and after they are back (`on_guest_started`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lastcall import (
    CommandResult,
    Guest,
    GuestResult,
    HookFailed,
    NoShell,
    OnFailure,
    Outcome,
    PluginOptions,
    Problem,
    Run,
    Shell,
    ShellError,
    hookimpl,
)
from lastcall.options import COMMAND, Duration, Options

_BACK = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.MOVED, Outcome.UNREADY})


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _words(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _not_empty(run: str | tuple[str, ...]) -> str | tuple[str, ...]:
    program = run if isinstance(run, str) else "".join(run[:1])
    if not program.strip():
        raise ValueError("an empty command runs nothing; write one, or leave it out")
    return run


class GuestCommand(Options):
    """One command; the command line alone will do."""

    run: Annotated[str | tuple[str, ...], BeforeValidator(_words), AfterValidator(_not_empty)] = Field(
        description="A command line for /bin/sh in the guest, or a list of words that no shell touches.",
        json_schema_extra=COMMAND,
    )
    timeout: Duration | None = Field(default=None, gt=0, description="Then it is killed; else when the hook's is over.")
    user: str | None = Field(default=None, description="Whom to run it as; else whoever the guest shell is.")
    shell: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = Field(
        default=(), strict=False, description="Guest shells for this command; else the guest's."
    )
    ok_codes: tuple[int, ...] = Field(default=(0,), strict=False, description="Exit codes that are no failure.")
    on_failure: Literal["continue", "stop", "skip_guest", "ignore"] = Field(
        default="continue",
        description="A failure counts, and: the next command is run, or none, or the guest is not asked to stop now. "
        "`ignore`: it does not count.",
    )
    rehearse: bool = Field(
        default=False, description="Run it in a rehearsal (`lastcall hook`), too; else only the login is tried there."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"run": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form."""
        return {"anyOf": [{"type": "string", "description": "a command line"}, handler(core_schema)]}


class Commands(Options):
    """The guest key `commands`; a list is for `on_guest_stop`."""

    on_guest_stop: tuple[GuestCommand, ...] = Field(default=(), strict=False, description="Before the guest stops.")
    on_guest_started: tuple[GuestCommand, ...] = Field(default=(), strict=False, description="When it is back.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"on_guest_stop": value} if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form."""
        full = handler(core_schema)
        commands = handler.resolve_ref_schema(full)["properties"]["on_guest_stop"]
        return {"anyOf": [{**commands, "description": "a list of commands"}, full]}


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare the guest key."""
    return PluginOptions(guest=Commands, only_where_set=True)


@hookimpl
def check_guest(guest: Guest, run: Run) -> Iterable[Problem]:
    """Say where the way into the guest is missing, by each of the shells that its commands are to take."""
    ours = run.options(Commands, guest)
    for use in dict.fromkeys(command.shell for command in (*ours.on_guest_stop, *ours.on_guest_started)):
        try:
            run.shell(guest, use=use)
        except NoShell as error:
            yield Problem(what="commands", where=guest.name, message=str(error), remedy=error.remedy)


@hookimpl
def on_guest_stop(guest: Guest, run: Run) -> None:
    """Run those for the stop."""
    _perform(run.options(Commands, guest).on_guest_stop, guest, run)


@hookimpl
def on_guest_started(guest: Guest, result: GuestResult, run: Run) -> None:
    """Run those for the start, in a guest that runs."""
    if result.outcome in _BACK:
        _perform(run.options(Commands, guest).on_guest_started, guest, run)


def _perform(commands: Sequence[GuestCommand], guest: Guest, run: Run) -> None:
    """One after the other. Raises HookFailed when one failed, after those that still had to be run."""
    shells: dict[tuple[str, ...], Shell] = {}
    told: list[Mapping[str, Any]] = []
    failures: list[str] = []
    policy: OnFailure | None = None
    for command in commands:
        failure = _run(command, guest, run, shells, told)
        # After every command: what has been told survives the end of the time box.
        run.evidence(commands=list(told))
        if failure and command.on_failure != "ignore":
            failures.append(failure)
            policy = "skip_guest" if command.on_failure == "skip_guest" else policy
            if command.on_failure != "continue":
                break
    if failures:
        raise HookFailed("; ".join(failures), on_failure=policy)


def _run(
    command: GuestCommand, guest: Guest, run: Run, shells: dict[tuple[str, ...], Shell], told: list[Mapping[str, Any]]
) -> str:
    """Run one and log what it says; returns why it failed, or nothing. `shells`: those that were opened so far."""
    shown = command.run if isinstance(command.run, str) else " ".join(command.run)
    words: str | Sequence[str] = command.run
    if run.rehearsal and not command.rehearse:
        run.log(f"{shown}: not run in a rehearsal; only the login is tried")
        words = "true"
    try:
        # A shell that is missing is a failure of the commands that want it, and of no other.
        shell = shells[command.shell] = shells.get(command.shell) or run.shell(guest, use=command.shell)
        result = shell.run(words, timeout=command.timeout, user=command.user)
    except ShellError as error:
        run.log(f"{shown}: {error}")
        told.append({"run": shown, "error": str(error)})
        return f"{shown}: {error}" + (f" → {error.remedy}" if error.remedy else "")
    _log(result, run)
    told.append({"run": shown, "exit_code": result.exit_code, "seconds": round(result.duration, 2)})
    if result.exit_code in command.ok_codes:
        return ""
    said = (result.stderr or result.stdout).strip().splitlines()
    return f"{shown}: exit code {result.exit_code}" + (f": {said[-1]}" if said else "")


def _log(result: CommandResult, run: Run) -> None:
    for text in (result.stdout, result.stderr):
        if text:
            run.log(text)
    if result.truncated:
        run.log("(its output was longer)")

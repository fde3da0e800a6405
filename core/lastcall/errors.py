"""Every error of lastcall, the problems that are reported instead of raised, and the exit codes.

LastcallError                 expected: one line and a remedy, no traceback
├── ConfigInvalid             exit 6, carries every problem found
│   └── ConfigDenied          this user may not read it
├── NoPermission              exit 4
├── RunLocked                 exit 5
├── StillWaits                exit 75
├── UsageError                exit 2
├── HypervisorError           libvirt refused or failed
│   ├── GuestGone             there is no such domain (any more)
│   ├── StartedAnew           somebody has started it since it was asked: it is not forced off
│   ├── OperationInvalid      the domain's state does not allow it
│   ├── BadImage              its saved image does not load
│   ├── DomainBusy            somebody's job holds the domain
│   ├── Unsupported           this domain, driver or agent cannot do it, now or later
│   ├── NotPermitted          libvirt denies us this
│   └── ConnectionLost        the connection is dead; nothing is known about its guests
├── CallExpired               a hook call used its run after its time was over
├── Skip, HookFailed          raised by plugins: skipped, failed without a traceback
├── PluginFailed              a plugin's code failed where somebody asked it for something
├── UnknownGuest              nobody is called so
├── AmbiguousGuest            several are, on several connections
└── ShellError                NoShell, ShellUnreachable, ShellRefused, CommandTimeout, ShellLost, CommandFailed
"""

import contextlib
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Literal, TypeAlias, get_args

from lastcall.formats.bounded_text import kind_name, said
from lastcall.formats.secret_text import masked
from lastcall.formats.values import value

OnFailure: TypeAlias = Literal["continue", "skip_guest", "abort"]
"""What a failed hook call means: nothing more, do not ask this guest now, or end a voluntary run."""

FAILURE_POLICIES = frozenset[str](get_args(OnFailure))


class ExitCode(IntEnum):
    """What the process says to whoever started it."""

    OK = 0
    NOT_AS_PLANNED = 1
    USAGE = 2
    # What `status` of libvirt-guests, and of init scripts before it, says of a service that is stopped.
    NOT_STARTED = 3
    NO_PERMISSION = 4
    LOCKED = 5
    CONFIG_INVALID = 6
    # EX_SOFTWARE of sysexits.h: far from the others, as no operator can mend it.
    INTERNAL = 70
    # EX_TEMPFAIL: the restore is begun again by itself.
    WAITING = 75


class Severity(StrEnum):
    """An error makes the run end in exit code 1; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@value(frozen=True, kw_only=True)
class Problem:
    """Something that is not as it should be: what kind of thing, where it is, what is wrong and what to do."""

    what: str
    where: str
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR


class LastcallError(Exception):
    """An expected error: one line for the reader, and what to do about it.

    `where` is `file:line` of a plugin, and `trace` a traceback, for one that tells of a plugin's failure.
    """

    exit_code = ExitCode.NOT_AS_PLANNED
    where = trace = ""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigInvalid(LastcallError):
    """The configuration has errors; `problems` lists every one, in the order of the files."""

    exit_code = ExitCode.CONFIG_INVALID

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{problem.where}: {problem.message}" for problem in problems))
        self.problems = tuple(problems)


class ConfigDenied(ConfigInvalid):
    """The configuration is there, and not for this user to read: what is in it is not known."""


class NoPermission(LastcallError):
    """The operating system denies a file or folder that the command needs."""

    exit_code = ExitCode.NO_PERMISSION


class RunLocked(LastcallError):
    """Another run holds the lock."""

    exit_code = ExitCode.LOCKED


class StillWaits(LastcallError):
    """A restore has nothing to do yet: what its guests need for their start is not there."""

    exit_code = ExitCode.WAITING


class UsageError(LastcallError):
    """The command line asks for something that does not exist."""

    exit_code = ExitCode.USAGE


class HypervisorError(LastcallError):
    """libvirt refused or failed; `code` is libvirt's error number."""

    def __init__(self, message: str, remedy: str = "", code: int = 0) -> None:
        super().__init__(message, remedy)
        self.code = code


class GuestGone(HypervisorError):
    """There is no such domain: it was transient and is off, or somebody undefined it."""


class StartedAnew(HypervisorError):
    """The guest is not the one that was asked: it went off meanwhile, and somebody has started it."""


class OperationInvalid(HypervisorError):
    """The domain's state does not allow it: it is off, say, or just going off, of which libvirt's event is to come."""


class BadImage(HypervisorError):
    """The guest has a saved image, from which it cannot be started: cut short, say, or of a machine that is no more."""


class DomainBusy(HypervisorError):
    """Somebody's job holds the domain: a dump, a backup, a save. libvirt waits 30 s for it and gives up (error 68)."""


class Unsupported(HypervisorError):
    """It is a property of the domain, its driver or its agent: asking again is no use."""


class NotPermitted(HypervisorError):
    """libvirt denies this: a read-only connection, or no rights."""

    exit_code = ExitCode.NO_PERMISSION


class ConnectionLost(HypervisorError):
    """The connection is dead. What its guests do is not known."""


class CallExpired(LastcallError):
    """The time of this hook call is over; whatever it still does no longer counts."""


class Skip(LastcallError):
    """Raised by a hook: there was nothing to do for it, and why."""


class HookFailed(LastcallError):
    """Raised by a hook: it failed, and why; recorded without a traceback.

    `on_failure` is what this failure means; None: what is configured. Raises ValueError for any other word.
    """

    def __init__(self, message: str, remedy: str = "", on_failure: OnFailure | None = None) -> None:
        super().__init__(message, remedy)
        # Here, where the traceback shows the line: misspelt, it would stand for what nobody has asked for.
        if on_failure is not None and on_failure not in FAILURE_POLICIES:
            words = ", ".join(sorted(FAILURE_POLICIES))
            raise ValueError(f"on_failure {on_failure!r} is none of {words} (of the failure {message!r})")
        self.on_failure = on_failure


class PluginFailed(LastcallError):
    """A plugin's code failed, or did not come to its end, where somebody asked it for something."""

    def __init__(self, message: str, remedy: str = "", where: str = "", trace: str = "") -> None:
        super().__init__(message, remedy)
        self.where, self.trace = where, trace


class UnknownGuest(LastcallError):
    """No guest has this name or UUID, or none on that connection."""


class AmbiguousGuest(LastcallError):
    """Several guests, on several connections, have this name or UUID."""


class ShellError(LastcallError):
    """A command in a guest could not be run, or not to its end."""


class NoShell(ShellError):
    """The guest has no shell configured, or no plugin provides the one that is."""


class ShellUnreachable(ShellError):
    """The guest's shell did not answer."""


class ShellRefused(ShellError):
    """The guest's shell did not let us in, or does not allow this."""


class CommandTimeout(ShellError):
    """The command did not end in its time and was killed."""


class ShellLost(ShellError):
    """The connection ended while the command ran."""


class CommandFailed(ShellError):
    """The command ended with an exit code that is not one of those expected."""


def in_words(error: BaseException) -> str:
    """What an error says, in one line; never nothing: one without words says what kind of error it is.

    The one door through which errors become words: never raises, though whose error it is may have written its
    `__str__`. Whatever that may take is the caller's time: those of plugins are put into words in their own worker.
    """
    # By the very type: `isinstance` asks the object's own `__class__` as well.
    text, kind = masked(said(error)), type(error)
    if issubclass(kind, TimeoutError):
        return text or "no answer in time"
    if issubclass(kind, LastcallError) and text:
        return text
    return f"{kind_name(error)}: {text}" if text else kind_name(error)


def with_remedy(error: Exception) -> str:
    """The same with what to do about it, where the error knows."""
    try:
        remedy = said(getattr(error, "remedy", ""))
    except BaseException:  # noqa: BLE001  as in `said`: an attribute may be somebody else's code
        remedy = ""
    return f"{in_words(error)} → {remedy}" if remedy else in_words(error)


def worded(error: Exception) -> Exception:
    """An error that is nobody else's code any more: one of ours as it is, of others one of ours that says the same.

    For workers that hand an error on: its words may take for ever to make, which must not be the loop's time.
    """
    kind, plain = type(error), all(type(word) is str for word in error.args)
    if kind is TimeoutError or issubclass(kind, LastcallError):
        if plain and kind.__str__ in {BaseException.__str__, OSError.__str__}:
            return error
    elif issubclass(kind, TimeoutError):
        return TimeoutError(said(error))
    return LastcallError(in_words(error))


def located(error: Exception, where: str, trace: str = "") -> Exception:
    """The error, which from now on knows the place in a plugin at which it was raised; see `whence`."""
    with contextlib.suppress(Exception):  # a class of somebody's own may let nobody set anything
        error.where, error.trace = where, trace  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return error


def whence(error: BaseException | None) -> tuple[str, str]:
    """`file:line` of a plugin, and a traceback, as far as an error knows them."""
    try:
        where, trace = getattr(error, "where", ""), getattr(error, "trace", "")
    except BaseException:  # noqa: BLE001  as in `with_remedy`
        return "", ""
    return (where, trace) if type(where) is str and type(trace) is str else ("", "")

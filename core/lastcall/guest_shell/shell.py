"""A guest's shell for one hook call: which provider, one session, and every command in its frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from lastcall.api.guests import Guest
from lastcall.api.shell import CommandResult, GuestShell, ShellSession
from lastcall.errors import NoShell, ShellError, ShellRefused, ShellUnreachable, in_words
from lastcall.formats.bounded_text import bounded, shown
from lastcall.formats.secret_text import SecretText
from lastcall.guest_shell.command_wrapper import require_text, wrap_command

if TYPE_CHECKING:
    from lastcall.api.run import Run

T = TypeVar("T")
Providers = Mapping[str, tuple[str, GuestShell]]
"""Guest shells by name: (plugin, shell)."""


class ChosenShell:
    """Implements `lastcall.Shell`.

    The shells of the guest are tried in order; from the first command that was started on, there is no other. `view`
    makes the provider's own view of the call: its options, its folder, the same end.
    """

    def __init__(self, guest: Guest, names: Sequence[str], providers: Providers, view: "Callable[[str], Run]") -> None:
        self._guest = guest
        self._names = list(names)
        self._providers = providers
        self._view = view
        self._session: ShellSession | None = None
        if not names:
            remedy = "set `shell: agent`, `shell: ssh` or `shell: [agent, ssh]` for it"
            raise NoShell(f"no shell is configured for {guest.name}", remedy)
        for name in names:
            if name not in providers:
                known = ", ".join(sorted(providers)) or "none"
                raise NoShell(f"no plugin provides the guest shell {name!r}", f"guest shells there are: {known}")

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        input: str | bytes | SecretText | None = None,  # noqa: A002  the standard library's name for it
        user: str | None = None,
        env: Mapping[str, str | SecretText] | None = None,
    ) -> CommandResult:
        """Run it; see `lastcall.Shell.run`."""
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
        plain = {name: _revealed(value) for name, value in (env or {}).items()}
        data = _bytes(_revealed(input))
        refusals: list[str] = []
        while True:
            name = self._names[0]
            plugin, provider = self._providers[name]
            view = self._view(plugin)
            try:
                session = self._session or self._connect(plugin, provider, view)
                left = view.remaining()
                seconds = left if timeout is None else min(timeout, left)
                frame = wrap_command(argv, timeout=seconds, stdin=data, user=user, env=plain)
                result = frame.read(session.execute(frame.command))
            except (ShellUnreachable, ShellRefused) as error:  # nothing was started
                refusals.append(f"{name}: {in_words(error)}")
                if len(self._names) == 1:
                    raise _joined(error, refusals) from None
                self.close()
                del self._names[0]
            except ShellError:
                del self._names[1:]  # something may have been started
                raise
            else:
                del self._names[1:]
                return replace(result, shell=name)

    def close(self) -> None:
        """Give the session back."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _connect(self, plugin: str, provider: GuestShell, view: "Run") -> ShellSession:
        why = provider.unfit(self._guest, view)
        if why:
            raise ShellUnreachable(why)
        session = cast("object", provider.connect(self._guest, view))
        # Nothing was started yet, so that the guest's next shell may still be used.
        if not isinstance(session, ShellSession):
            raise ShellRefused(f"{plugin} connects to {bounded(shown(session))}, which is no ShellSession")
        self._session = session
        return session


def _revealed(value: T | SecretText) -> T | str:
    return value.reveal() if isinstance(value, SecretText) else value


def _bytes(given: str | bytes | None) -> bytes:
    """Raises ShellRefused for what has no bytes."""
    if not isinstance(given, str):
        return given or b""
    require_text("the input", given, nul=True)
    return given.encode("utf-8", "surrogateescape")


def _joined(error: ShellError, refusals: Sequence[str]) -> ShellError:
    """The last error, with what those before it said."""
    # Of our own kinds: a provider's own may want to be made in another way.
    kind = ShellUnreachable if isinstance(error, ShellUnreachable) else ShellRefused
    return kind("; ".join(refusals), error.remedy)

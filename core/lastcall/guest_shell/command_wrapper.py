"""The frame around a command in a guest: a POSIX shell script that keeps it in time and bounds, composed once here.

Whatever the provider and the guest, the frame gives the command its user and environment, cuts its output, kills it
with everything it started when its time is over (also when nobody listens any more), and says how it ended. It needs
what every Linux guest has, busybox included: sh, head, cat, sleep and setsid.
"""

import math
import re
import secrets
from collections.abc import Mapping, Sequence

from lastcall.api.shell import Command, CommandResult
from lastcall.errors import CommandTimeout, ShellLost, ShellRefused
from lastcall.formats.values import value

OUTPUT_LIMIT = 262_144  # bytes of each stream; libvirt gives up an agent for good at 10 MiB
KILL_AFTER = 2  # seconds between SIGTERM and SIGKILL
# After one second a guest with too little CPU had not yet brought the output of a command that was over through its
# pipes, and all of it was called cut off.
HELD_TIME = 3  # seconds to wait for output that a background process keeps open
_BY_SIGNAL = 128
_ROOM = 16_384  # bytes beyond the limit, for what the frame says

# $1 nonce, $2 seconds, $3 bytes, $4 user or nothing, $5 what of the environment to keep for sudo, then the command.
# What the frame says goes to standard error, on lines that begin with the nonce. The environment comes on standard
# input, before the command's own: an argument could be seen in the guest's process list, and in the agent's journal.
_OUTER = """\
n=$1 t=$2 l=$3 u=$4 e=$5; shift 5
no() { printf '\\n%s refused %s\\n' "$n" "$*" >&2; exit 0; }
command -v setsid > /dev/null || no 'there is no setsid in the guest'
s=
while IFS= read -r x && [ "$x" != "$n" ]; do s="$s$x
"; done
eval "$s"
if [ -n "$u" ] && [ "$(id -un)" != "$u" ]; then
    id "$u" > /dev/null 2>&1 || no "there is no user $u in the guest"
    if [ "$(id -u)" = 0 ]; then
        HOME=$(eval echo "~$u"); USER=$u; LOGNAME=$u; export HOME USER LOGNAME
        if setpriv --reuid="$u" true 2> /dev/null; then
            set -- setpriv --reuid="$u" --regid="$(id -g "$u")" --init-groups -- "$@"
        else
            set -- su -s /bin/sh "$u" -c 'exec "$@"' -- sh "$@"
        fi
    else
        sudo -n -u "$u" true 2> /dev/null || no "user $(id -un) may not become $u (sudo without a password)"
        set -- sudo -n -u "$u" ${e:+"--preserve-env=$e"} -- "$@"
    fi
fi
exec 3<&0
setsid sh -c "$INNER" sh "$n" "$t" "$l" "$@" <&3 3<&- & p=$!
exec 3<&-
trap 'kill -KILL -"$p"; exit' HUP INT TERM
{ wait "$p"; } 2> /dev/null
kill -KILL -"$p" 2> /dev/null
exit 0
"""
# The leader of a process group of its own, in which everything is that belongs to the frame; the command has another.
# What it says, it says in a shell of its own: where nobody listens any more, SIGPIPE ends that and not the timer.
_INNER = """\
n=$1 t=$2 l=$3; shift 3; unset INNER
exec 8<&0 9>&2
trap : TERM
bounded() { exec 2> /dev/null; trap : TERM; cat | { trap '' TERM; head -c "$l"; cat > /dev/null; }; }
said() { ( printf '\\n%s %s\\n' "$n" "$*" >&9 ) }
{
    trap : TERM
    {
        exec 2>&1 >&7 7>&-
        setsid "$@" <&8 8<&- 9>&- & c=$!
        exec > /dev/null 2>&1 8<&-
        ( sleep "$t"; said timeout; kill -TERM -"$c"; sleep KILL_AFTER; kill -KILL -"$c" ) &
        wait "$c"; said exit $?
        ( trap : TERM; sleep HELD_TIME; said held; kill -TERM 0; sleep HELD_TIME; kill -KILL 0 ) &
    } | { exec >&2 7>&- 8<&-; bounded; }
} 7>&1 | { exec 8<&-; bounded; }
""".replace("KILL_AFTER", str(KILL_AFTER)).replace("HELD_TIME", str(HELD_TIME))


@value
class WrappedCommand:
    """One command in its frame. `command` is what a provider executes, `read` what came of it."""

    command: Command
    nonce: str
    limit: int

    def read(self, raw: CommandResult) -> CommandResult:
        """The command's own result. Raises CommandTimeout, ShellRefused, or ShellLost where the frame did not end."""
        # At the beginning of a line only, and with one way to match: the guest, which may know the nonce, made an
        # expression that searches back and forth take minutes.
        says = re.compile(rf"\n?^{self.nonce} ([a-z]+)(?: ([^\n]*))?\n", re.MULTILINE)
        said = dict(says.findall(raw.stderr))
        if "refused" in said:
            raise ShellRefused(said["refused"])
        if "timeout" in said:
            raise CommandTimeout(f"did not end within {self.command.timeout:.0f} s and was killed")
        if "exit" not in said:
            if raw.exit_code in {126, 127}:
                raise ShellRefused(f"the guest has no usable /bin/sh (exit code {raw.exit_code})")
            if 0 <= raw.exit_code < _BY_SIGNAL:
                said_instead = (raw.stderr or raw.stdout).strip().splitlines()
                what = f": {said_instead[-1]}" if said_instead else ""
                raise ShellRefused(f"the login runs something else (exit code {raw.exit_code}){what}")
            raise ShellLost("it was cut off: nobody said how it ended")
        # From inside the guest, where somebody may have read the nonce.
        if not re.fullmatch("[0-9]{1,3}", said["exit"]):
            raise ShellLost("it was cut off: what was said of its end is no exit code")
        out, cut_out = _cut(raw.stdout, self.limit)
        err, cut_err = _cut(says.sub("", raw.stderr), self.limit)
        return CommandResult(
            exit_code=int(said["exit"]), stdout=out, stderr=err, duration=raw.duration, shell=raw.shell,
            truncated=cut_out or cut_err or "held" in said,
        )  # fmt: skip


def wrap_command(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: bytes = b"",
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    limit: int = OUTPUT_LIMIT,
) -> WrappedCommand:
    """Put a command into its frame. Raises ShellRefused for what no system call takes."""
    import shlex  # here: many a run has no command for anybody

    env = env or {}
    for number, word in enumerate(argv):
        require_text(f"word {number} of the command", word)
    require_text("the user's name", user or "")
    for name, text in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ShellRefused(f"{name!r} is no name for an environment variable")
        require_text(f"the environment variable {name}", text)
    nonce = f"lastcall-{secrets.token_hex(12)}"
    # Exported in the guest: an env of guest-exec replaces the whole environment, PATH included.
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
    preamble = f"{exports}INNER={shlex.quote(_INNER)}; export INNER\n{nonce}\n"
    seconds = str(max(1, math.floor(timeout)))
    arguments = (nonce, seconds, str(limit + 1), user or "", ",".join(env), *argv)
    return WrappedCommand(
        Command(
            argv=("/bin/sh", "-c", _OUTER, "lastcall", *arguments),
            timeout=timeout,
            input=preamble.encode("utf-8", "surrogateescape") + stdin,
            output_limit=limit + _ROOM,
        ),
        nonce,
        limit,
    )


def require_text(what: str, text: str, *, nul: bool = False) -> None:
    """Raise ShellRefused for a text that has no bytes, or a NUL where there may be none. It is named, and not quoted:
    it may be a password.
    """
    if "\0" in text and not nul:
        raise ShellRefused(f"{what} contains a NUL character, which no command can take")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ShellRefused(f"{what} contains a lone surrogate, which is no character") from None


def _cut(text: str, limit: int) -> tuple[str, bool]:
    data = text.encode("utf-8", "surrogateescape")
    return data[:limit].decode("utf-8", "replace"), len(data) > limit

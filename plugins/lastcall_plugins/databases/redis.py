"""Redis and Valkey: a dump (or a new append-only file), proven by the server's own counters and the file.

The client's exit code says nothing: with an error for an answer it is 0. With `save ""` a plain stop loses all data.
"""

from pydantic import Field

from lastcall import ShellError
from lastcall_plugins.databases.engine import (
    Flush,
    ServerEngine,
    ServerOptions,
    Unproven,
    figures,
    number,
    stop_service,
)
from lastcall_plugins.databases.ownership import OWN

_CLIENT = rf"""{OWN}
client=$(command -v "$1" || command -v redis-cli || command -v valkey-cli) || {{
    echo "there is no $1 in the guest" >&2; exit 1; }}
S=$2 P=$3 U=$4
if [ -n "$S" ]; then own_socket "$S"; else own_port "${{P:-6379}}"; fi
ask() {{ "$client" --raw ${{S:+-s "$S"}} ${{P:+-p "$P"}} ${{U:+--user "$U"}} --no-auth-warning "$@" 2>&1; }}
info() {{ ask INFO persistence | tr -d '\r'; }}
value() {{ info | sed -n "s/^$1://p"; }}
say() {{ info | sed -n "s/^\(rdb_changes_since_last_save\|rdb_last_save_time\|aof_enabled\):/$1_\1=/p"; }}
said=$(ask INFO persistence)  # PING answers with an error where the last dump failed, and a new one may mend that
case $said in "# Persistence"*) ;; *) echo "$said" >&2; exit 1 ;; esac
"""
# A BGSAVE that somebody else began may lack what was written since: it is waited for, then ours is made.
_WAIT = r"""
wink() { sleep 0.2 2> /dev/null || sleep 1; }
busy() { [ "$(value rdb_bgsave_in_progress)" != 0 ] || [ "$(value aof_rewrite_in_progress)" != 0 ]; }
idle() { while busy; do wink; done; }
"""
_SAVE = rf"""{_CLIENT}{_WAIT}
say before
idle
if [ "$(value aof_enabled)" = 1 ]; then
    said=$(ask BGREWRITEAOF)
    case $said in *started*|*scheduled*) wink; idle; said=$(value aof_last_bgrewrite_status) ;; esac
elif [ "$5" = gently ]; then
    said=$(ask BGSAVE)
    case $said in *started*) wink; idle; said=$(value rdb_last_bgsave_status) ;; esac
else
    said=$(ask SAVE)
fi
echo "said=$said"
say after
dir=$(ask CONFIG GET dir | tail -n 1)
file=$(ask CONFIG GET dbfilename | tail -n 1)
# Not read: a path that the server says may be a device that never ends.
if [ -f "$dir/$file" ]; then echo "file=$dir/$file"; echo "bytes=$(stat -c %s "$dir/$file")"; fi
"""
# Writers wait, unacknowledged, from the last dump to the end: nothing can be promised that is not in it.
_STOP = rf"""{_CLIENT}
ask CLIENT PAUSE 60000 WRITE > /dev/null
said=$(ask SAVE)
[ "$said" = OK ] || {{ ask CLIENT UNPAUSE > /dev/null; echo "$said" >&2; exit 1; }}
"""
_CHECK = r"""
check=$(command -v redis-check-rdb || command -v valkey-check-rdb)
[ -f "$1" ] && "$check" "$1" > /dev/null && echo ok
"""


class RedisOptions(ServerOptions):
    """Options of `redis` and `valkey`."""

    user: str | None = Field(default=None, description="The server's user (ACL); else its default user.")


class Redis(ServerEngine[RedisOptions]):
    """One Redis server."""

    name = "redis"
    options = RedisOptions
    client = "redis-cli"
    service = "redis-server"
    owner = "redis"
    variable = "REDISCLI_AUTH"

    def flush(self, flush: Flush[RedisOptions]) -> None:
        """Proven when the server says so, and counts no unsaved change or a newer dump than before."""
        gently = "gently" if flush.run.rehearsal else ""  # a rehearsal keeps nobody waiting
        text = flush.sh(_SAVE, *self._where(flush), gently, env=self.environment(flush))
        found = figures(text)
        for moment, into in (("before", flush.before), ("after", flush.after)):
            into["unsaved_changes"] = number(found.get(f"{moment}_rdb_changes_since_last_save"), -1)
        if "file" in found:
            flush.after |= {"dump": found["file"], "dump_bytes": number(found.get("bytes"))}
        if found.get("said", "").lower() != "ok":
            raise Unproven(f"the server answers: {found.get('said') or 'nothing'}")
        appends = found.get("after_aof_enabled") == "1"
        # Newer than before, and not just there: the last save of a server that never saved is its start.
        newer = number(found.get("after_rdb_last_save_time"), 0) > number(found.get("before_rdb_last_save_time"), 0)
        if not appends and not newer and flush.after["unsaved_changes"] != 0:
            raise Unproven(f"{flush.after['unsaved_changes']} changes are not saved")

    def stop(self, flush: Flush[RedisOptions]) -> None:
        """A last dump with writers held off, then the service; the file has to be a good one."""
        flush.sh(_STOP, *self._where(flush), env=self.environment(flush))
        # With `save ""` SIGTERM throws the data away and exits with 0, so the dump above comes first; with a folder
        # that it cannot write to the server refuses to go.
        stop_service(flush, self.service)
        if "dump" in flush.after:
            flush.after["dump_checked"] = self._check(flush, str(flush.after["dump"]))

    def _check(self, flush: Flush[RedisOptions], dump: str) -> str:
        """`ok`, or nothing where nobody can say. As the server's user: the path and the file are the server's word."""
        try:
            return flush.run_script(_CHECK, dump, user=flush.options.owner or self.owner).stdout.strip()
        except ShellError:
            return ""

    def _where(self, flush: Flush[RedisOptions]) -> tuple[str, str, str, str]:
        options = flush.options
        return self.client, options.socket or "", str(options.port or ""), options.user or ""


class Valkey(Redis):
    """One Valkey server."""

    name = "valkey"
    client = "valkey-cli"
    service = "valkey-server"
    owner = "valkey"

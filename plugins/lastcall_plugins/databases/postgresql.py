"""PostgreSQL: CHECKPOINT, proven by the position from which it would have to replay."""

import re

from pydantic import Field

from lastcall_plugins.databases.engine import Flush, ServerEngine, ServerOptions, Unproven, figures, stop_service
from lastcall_plugins.databases.ownership import OWN

# A busy cluster had 79.5 MB to replay before its checkpoint, and 176 bytes after it.
# One session, so that the position before and the checkpoint belong together. A standby has no position of its own to
# write at: it is asked for what it has replayed, and may end its checkpoint only where its primary had one.
# No variable of psql anywhere: what a server answers would become one, by whatever name it chooses, and `:name` is
# read like a line of this script.
_FLUSH = rf"""{OWN}
command -v psql > /dev/null || {{ echo 'there is no psql in the guest' >&2; exit 1; }}
case $1 in localhost|127.*|::1) own_port "${{2:-5432}}" ;; esac
PGREQUIREPEER=$OWNER; export PGREQUIREPEER
psql -X -A -t -q -v ON_ERROR_STOP=1 -d postgres ${{1:+-h "$1"}} ${{2:+-p "$2"}} ${{3:+-U "$3"}} <<'SQL'
SELECT 'standby=' || pg_is_in_recovery();
SELECT 'began=' || CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
    ELSE pg_current_wal_insert_lsn() END;
SELECT 'before=' || redo_lsn FROM pg_control_checkpoint();
CHECKPOINT;
SELECT 'ended=' || CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
    ELSE pg_current_wal_insert_lsn() END;
SELECT 'after=' || redo_lsn FROM pg_control_checkpoint();
SELECT 'data=' || current_setting('data_directory');
SQL
"""  # noqa: S608  nothing is put into a statement
# The unit that the server runs in. Debian's `postgresql.service` is only a bracket around those of the clusters: its
# stop is over before theirs. The folder is what the server says: only the unit of a process of its own is believed.
_UNIT = rf"""{OWN}
[ -f "$1/postmaster.pid" ] && read -r pid < "$1/postmaster.pid" || exit 0
case $pid in ''|*[!0-9]*) exit 0 ;; esac
[ "$(stat -c %u "/proc/$pid")" = "$own_id" ] && sed -n 's#.*/\([^/]*\.service\)$#\1#p' "/proc/$pid/cgroup" | head -n 1
"""
# A version that is none would name a folder of somebody's choice, with a program in it.
_STOPPED = r"""
[ -f "$1/PG_VERSION" ] && read -r version < "$1/PG_VERSION"
case $version in ''|*[!0-9.]*|.*) echo "there is no version in $1" >&2; exit 1 ;; esac
for folder in /usr/lib/postgresql/"$version"/bin /usr/pgsql-*/bin /usr/bin; do
    [ -x "$folder/pg_controldata" ] && exec "$folder/pg_controldata" "$1"
done
echo 'there is no pg_controldata in the guest' >&2; exit 1
"""
_LSN = re.compile("([0-9A-F]{1,8})/([0-9A-F]{1,8})")
_UNIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.\\@-]*\.service")


class PostgresqlOptions(ServerOptions):
    """Options of `postgresql`. `socket` is the folder of its socket, or a host."""

    user: str = Field(default="postgres", description="The guest's user that psql is run as.")
    role: str | None = Field(default=None, description="The role to log in as: a superuser, or one of pg_checkpoint.")


class Postgresql(ServerEngine[PostgresqlOptions]):
    """One cluster."""

    name = "postgresql"
    options = PostgresqlOptions
    owner = "postgres"
    variable = "PGPASSWORD"

    def flush(self, flush: Flush[PostgresqlOptions]) -> None:
        """Proven when it would begin to replay at or after where it was when the flush began."""
        options = flush.options
        port = str(options.port or "")
        env = self.environment(flush)
        text = flush.sh(_FLUSH, options.socket or "", port, options.role or "", user=options.user, env=env)
        found = figures(text)
        began, redo = _position(found.get("began")), _position(found.get("after"))
        flush.before["replay_bytes"] = began - _position(found.get("before"))
        flush.after["replay_bytes"] = _position(found.get("ended")) - redo
        flush.after["data_directory"] = found.get("data", "")
        if found.get("standby") == "true":
            flush.after["role"] = "standby"  # what it lacks stands in its WAL, and at its primary
        elif redo < began:
            raise Unproven(f"it would still have to replay {flush.after['replay_bytes']} bytes")

    def stop(self, flush: Flush[PostgresqlOptions]) -> None:
        """A fast stop, which is what service files ask for; a smart one would wait for the last client."""
        data = flush.after["data_directory"]
        if not data.startswith("/"):
            raise Unproven("it does not say where its data is")
        unit = flush.sh(_UNIT, data, user=flush.options.user, env={"OWNER": flush.options.owner or self.owner}).strip()
        # A smart stop turns clients away and waits for those that are there: it never ended.
        stop_service(flush, unit if _UNIT_NAME.fullmatch(unit) else "postgresql")
        state = dict(
            line.split(":", 1) for line in flush.sh(_STOPPED, data, user=flush.options.user).splitlines() if ":" in line
        )
        # The service is off either way; only the control file says whether the cluster was shut down or died.
        flush.after["cluster"] = state.get("Database cluster state", "unknown").strip()
        if not flush.after["cluster"].startswith("shut down"):
            raise Unproven(f"its cluster is {flush.after['cluster']} after the stop")


def _position(lsn: str | None) -> int:
    """A place in the log, in bytes. Raises Unproven for what is none."""
    parts = _LSN.fullmatch(lsn or "")
    if not parts:
        raise Unproven(f"its answer is no place in its log: {(lsn or 'nothing')[:80]!r}")
    return (int(parts[1], 16) << 32) + int(parts[2], 16)

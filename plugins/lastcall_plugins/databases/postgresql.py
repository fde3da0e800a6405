"""PostgreSQL: CHECKPOINT, proven by the position from which it would have to replay."""

from pydantic import Field

from lastcall_plugins.databases.engine import Engine, Flush, ServerOptions, Unproven, figures, stop_service

# A busy cluster had 79.5 MB to replay before its checkpoint, and 176 bytes after it.
# One session, so that the position before and the checkpoint belong together. A standby has no position of its own to
# write at: it is asked for what it has replayed, and may end its checkpoint only where its primary had one.
_FLUSH = r"""
command -v psql > /dev/null || { echo 'there is no psql in the guest' >&2; exit 1; }
psql -X -A -t -q -v ON_ERROR_STOP=1 -d postgres ${1:+-h "$1"} ${2:+-p "$2"} ${3:+-U "$3"} <<'SQL'
SELECT pg_is_in_recovery() AS standby \gset
\if :standby
  \set lsn 'pg_last_wal_replay_lsn()'
\else
  \set lsn 'pg_current_wal_insert_lsn()'
\endif
SELECT :lsn AS began \gset
SELECT 'before=' || pg_wal_lsn_diff(:'began', redo_lsn) FROM pg_control_checkpoint();
CHECKPOINT;
SELECT 'after=' || pg_wal_lsn_diff(:lsn, redo_lsn) FROM pg_control_checkpoint();
SELECT 'proven=' || (redo_lsn >= :'began') FROM pg_control_checkpoint();
SELECT 'standby=' || pg_is_in_recovery();
SELECT 'data=' || current_setting('data_directory');
SQL
"""
# The unit that the server runs in. Debian's `postgresql.service` is only a bracket around those of the clusters: its
# stop is over before theirs.
_UNIT = r"""
read -r pid < "$1/postmaster.pid" && sed -n 's#.*/\([^/]*\.service\)$#\1#p' "/proc/$pid/cgroup" | head -n 1
"""
_STOPPED = r"""
for folder in /usr/lib/postgresql/"$(cat "$1/PG_VERSION")"/bin /usr/pgsql-*/bin /usr/bin; do
    [ -x "$folder/pg_controldata" ] && exec "$folder/pg_controldata" "$1"
done
echo 'there is no pg_controldata in the guest' >&2; exit 1
"""


class PostgresqlOptions(ServerOptions):
    """Options of `postgresql`. `socket` is the folder of its socket, or a host."""

    user: str = Field(default="postgres", description="The guest's user that psql is run as.")
    role: str | None = Field(default=None, description="The role to log in as: a superuser, or one of pg_checkpoint.")


class Postgresql(Engine[PostgresqlOptions]):
    """One cluster."""

    name = "postgresql"
    options = PostgresqlOptions

    def flush(self, flush: Flush[PostgresqlOptions]) -> None:
        """Proven when it would begin to replay at or after where it was when the flush began."""
        options = flush.options
        port = str(options.port or "")
        env = options.secret("PGPASSWORD")
        text = flush.sh(_FLUSH, options.socket or "", port, options.role or "", user=options.user, env=env)
        found = figures(text)
        flush.before["replay_bytes"] = int(found.get("before", -1))
        flush.after["replay_bytes"] = int(found.get("after", -1))
        flush.after["data_directory"] = found.get("data", "")
        if found.get("standby") == "true":
            flush.after["role"] = "standby"  # what it lacks stands in its WAL, and at its primary
        elif found.get("proven") != "true":
            raise Unproven(f"it would still have to replay {flush.after['replay_bytes']} bytes")

    def stop(self, flush: Flush[PostgresqlOptions]) -> None:
        """A fast stop, which is what service files ask for; a smart one would wait for the last client."""
        data = flush.after["data_directory"]
        unit = flush.sh(_UNIT, data, user=flush.options.user).strip()
        # A smart stop turns clients away and waits for those that are there: it never ended.
        stop_service(flush, unit or "postgresql")
        state = dict(
            line.split(":", 1) for line in flush.sh(_STOPPED, data, user=flush.options.user).splitlines() if ":" in line
        )
        # The service is off either way; only the control file says whether the cluster was shut down or died.
        flush.after["cluster"] = state.get("Database cluster state", "unknown").strip()
        if not flush.after["cluster"].startswith("shut down"):
            raise Unproven(f"its cluster is {flush.after['cluster']} after the stop")

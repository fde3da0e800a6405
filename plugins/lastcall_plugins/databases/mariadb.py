"""MariaDB and MySQL (InnoDB): a checkpoint, proven by log positions or by dirty pages.

`FLUSH TABLES WITH READ LOCK` and backup stages do not flush InnoDB; they only lock.
"""

import json
import re
from typing import Any, cast
from urllib.parse import quote

from pydantic import Field

from lastcall import Guest, HookFailed, LastcallError, Run, TextFile, from_json
from lastcall_plugins.databases.engine import (
    Flush,
    ServerEngine,
    ServerOptions,
    Unproven,
    figures,
    number,
    stop_service,
    told,
)
from lastcall_plugins.databases.ownership import OWN

# By a socket of the server's own, or by a port of its own: a client that is left to itself takes what is there. Of
# LOAD DATA LOCAL, which any answer may ask a client for, it gets nothing: that reads files as the client's user.
_CLIENT = rf"""{OWN}
client=$(command -v mariadb || command -v mysql) || {{
    echo 'there is no mariadb or mysql client in the guest' >&2; exit 1; }}
S=$1 P=$2 U=$3
if [ -n "$P" ] && [ -z "$S" ]; then
    own_port "$P"
else
    [ -n "$S" ] || S=$("$client" --help 2> /dev/null | sed -n 's/^socket  *\(\/.*\)/\1/p' | head -n 1)
    for usual in /run/mysqld/mysqld.sock /var/lib/mysql/mysql.sock /tmp/mysql.sock; do
        [ -z "$S" ] && [ -S "$usual" ] && S=$usual
    done
    own_socket "$S"
fi
sql() {{
    if [ -n "$S" ]; then set -- --protocol=socket --socket="$S" "$@"
    else set -- --protocol=tcp --host=127.0.0.1 --port="$P" "$@"; fi
    "$client" -N -B --local-infile=0 ${{U:+--user="$U"}} "$@"
}}
status() {{
    sql -e "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_pages_dirty',
        'Innodb_checkpoint_age', 'Innodb_lsn_current', 'Innodb_lsn_last_checkpoint')" > /dev/null || exit 1
    sql -e "SHOW GLOBAL STATUS LIKE 'Innodb%'" |
        sed -n "s/^Innodb_\(buffer_pool_pages_dirty\|checkpoint_age\|lsn_current\|lsn_last_checkpoint\)	/$1_\1=/p"
}}
"""
# A checkpoint at the present position, for which the server writes all that is dirty; it returns when that is done.
# 2855 dirty pages took it 46 ms.
_CHECKPOINT = rf"""{_CLIENT}
status before
sql -e 'SET GLOBAL innodb_log_checkpoint_now=1' || exit 1
status after
"""
# MySQL has no such request: no dirty page is allowed until there is none. The script itself puts the values back, also
# when it is killed; it needs nobody who listens. A server that is written to never comes to zero: no progress, no wait.
_DIRTY = rf"""{_CLIENT}
pct=$4 lwm=$5
back() {{ sql -e "SET GLOBAL innodb_max_dirty_pages_pct=$pct, GLOBAL innodb_max_dirty_pages_pct_lwm=$lwm"; }}
trap 'back && echo restored=true' EXIT
trap 'exit 1' HUP INT TERM
status before
sql -e 'SET GLOBAL innodb_max_dirty_pages_pct_lwm=0, GLOBAL innodb_max_dirty_pages_pct=0' || exit 1
least=999999999 idle=0
while [ "$idle" -lt 20 ]; do
    dirty=$(status now | sed -n 's/^now_buffer_pool_pages_dirty=//p')
    [ "${{dirty:-1}}" = 0 ] && break
    if [ "$dirty" -lt "$least" ]; then least=$dirty idle=0; else idle=$((idle + 1)); fi
    sleep 0.25 2> /dev/null || sleep 1
done
status after
"""
_VALUES = rf"""{_CLIENT}
sql -e 'SELECT CONCAT("pct=", @@innodb_max_dirty_pages_pct)
    UNION SELECT CONCAT("lwm=", @@innodb_max_dirty_pages_pct_lwm)'
"""
_PUT_BACK = rf"""{_CLIENT}
sql -e "SET GLOBAL innodb_max_dirty_pages_pct=$4, GLOBAL innodb_max_dirty_pages_pct_lwm=$5"
"""
# What a statement is given is read by the client first, to which `\!` is a program to run.
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,12})?")


CHECKPOINT_RECORD = 16  # bytes; a server that is idle has nothing in its log but the record of its last checkpoint


class MariadbOptions(ServerOptions):
    """Options of `mariadb` and `mysql`."""

    user: str | None = Field(default=None, description="The user to log in as; else the guest shell's own, root.")


class Mysql(ServerEngine[MariadbOptions]):
    """One MySQL server."""

    name = "mysql"
    options = MariadbOptions
    owner = "mysql"
    variable = "MYSQL_PWD"
    service = "mysql"

    def flush(self, flush: Flush[MariadbOptions]) -> None:
        """Proven when no page is dirty. The changed values are put back by the guest, else by the next run."""
        lost = self._put_back_if_known(flush)
        note = _note(flush.guest, flush.run, flush.options)
        pct, lwm = _percents(figures(flush.sh(_VALUES, *_where(flush), env=self.environment(flush))))
        # Kept on the host before anything is changed: a guest that is cut off must not
        # keep a server that writes through for ever.
        note.write(json.dumps({"pct": pct, "lwm": lwm}))
        try:
            result = flush.run_script(_DIRTY, *_where(flush), pct, lwm, env=self.environment(flush))
            found = figures(result.stdout)
            if found.get("restored") == "true":
                note.remove()
        finally:
            self.put_back(flush)
        if result.exit_code:
            raise Unproven(told(result))
        _take(flush, found)
        if flush.after.get("dirty_pages") != 0:
            raise Unproven(f"{flush.after.get('dirty_pages', 'unknown')} pages are still dirty: it is being written to")
        if lost:
            raise HookFailed(lost, "look at innodb_max_dirty_pages_pct and its _lwm; 90 and 10 are usual")

    def stop(self, flush: Flush[MariadbOptions]) -> None:
        """A clean stop leaves nothing to recover; systemd says whether it was one."""
        stop_service(flush, self.service)
        if flush.after["service"] != "inactive":
            raise Unproven(f"the service {flush.options.service or self.service} {flush.after['service']}")

    def started(self, guest: Guest, run: Run, options: MariadbOptions) -> None:
        """A server that was started anew has its values from its files."""
        _note(guest, run, options).remove()

    def put_back(self, flush: Flush[MariadbOptions]) -> None:
        """Put back values of which nobody has said that they are. Raises _Damaged for a note that tells none."""
        note = _note(flush.guest, flush.run, flush.options)
        values = _noted(note)
        if values:
            flush.sh(_PUT_BACK, *_where(flush), *values, env=self.environment(flush))
            note.remove()

    def _put_back_if_known(self, flush: Flush[MariadbOptions]) -> str:
        """The same; a note that tells no values is kept for whoever looks into it, and what was wrong is returned."""
        try:
            self.put_back(flush)
        except _Damaged as error:
            flush.run.log(f"{self.name}: {error}")
            return str(error)
        return ""


class Mariadb(Mysql):
    """One MariaDB server; one that is too old to know the request is treated as MySQL."""

    name = "mariadb"
    service = "mariadb"

    def flush(self, flush: Flush[MariadbOptions]) -> None:
        """Proven when the last checkpoint is at or after where the log was when the flush began."""
        result = flush.run_script(_CHECKPOINT, *_where(flush), env=self.environment(flush))
        if result.exit_code and "Unknown system variable" in result.stderr:
            super().flush(flush)
            return
        if result.exit_code:
            raise Unproven(told(result))
        found = figures(result.stdout)
        _take(flush, found)
        began, reached = found.get("before_lsn_current"), found.get("after_lsn_last_checkpoint")
        if not began or not reached or number(reached) + CHECKPOINT_RECORD < number(began):
            raise Unproven(f"its last checkpoint is at {reached}, it was at {began} when the flush began")


def _where(flush: Flush[MariadbOptions]) -> tuple[str, str, str]:
    options = flush.options
    return options.socket or "", str(options.port or ""), options.user or ""


class _Damaged(LastcallError):
    """A note of which nobody can say what it told; it is set aside."""


def _note(guest: Guest, run: Run, options: MariadbOptions) -> TextFile:
    """The file that keeps the values of one server."""
    server = options.port or quote(options.socket or "usual", safe="")
    return TextFile(run.folder / f"{guest.file_name}-{server}.json")


def _noted(note: TextFile) -> tuple[str, str] | None:
    """The values that a note tells; None where there is none. Raises _Damaged."""
    try:
        text = note.read()
        return None if text is None else _percents(from_json(text))
    except (LastcallError, ValueError) as error:
        why = f"the limits of dirty pages before an earlier flush are not put back: {note.path}: {error}"
        raise _Damaged(f"{why}; {_kept(note)}") from None


def _kept(note: TextFile) -> str:
    try:
        return f"it is kept as {note.set_aside()}"
    except LastcallError as error:
        return str(error)


def _take(flush: Flush[MariadbOptions], found: dict[str, str]) -> None:
    names = {"buffer_pool_pages_dirty": "dirty_pages", "checkpoint_age": "checkpoint_age_bytes"}
    for moment, into in (("before", flush.before), ("after", flush.after)):
        into.update(
            {name: number(found[f"{moment}_{key}"]) for key, name in names.items() if f"{moment}_{key}" in found}
        )


def _percents(values: object) -> tuple[str, str]:
    """The two values as they were. Raises Unproven for what no server has."""
    given = cast("dict[str, Any]", values) if isinstance(values, dict) else dict[str, Any]()
    pct, lwm = str(given.get("pct")), str(given.get("lwm"))
    if not (_PERCENT.fullmatch(pct) and _PERCENT.fullmatch(lwm)):
        raise Unproven(f"its limits of dirty pages are no numbers: {pct[:80]!r}, {lwm[:80]!r}")
    return pct, lwm

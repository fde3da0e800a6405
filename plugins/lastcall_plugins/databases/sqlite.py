"""SQLite in WAL mode: the log goes into the database, proven by its size and by the pragma's answer."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from lastcall import masked
from lastcall_plugins.databases.engine import DatabaseOptions, Engine, Flush, Unproven, number

# SQLite itself does not wait until the disk knows that the log is empty: after a power cut it would be back.
# Found as whoever the shell is; touched as the owner, so that no file is left that the owner cannot write.
_FIND = r"""
for path in $1; do
    [ -f "$path" ] || continue
    wal=0; [ -f "$path-wal" ] && wal=$(stat -c %s "$path-wal")
    printf '%s\0%s\0%s\0' "$(stat -c %U "$path")" "$wal" "$path"
done
"""
_FLUSH = r"""
command -v sqlite3 > /dev/null || { echo 'there is no sqlite3 in the guest' >&2; exit 1; }
sqlite3 -init /dev/null -bail -cmd '.timeout 5000' "$1" 'PRAGMA wal_checkpoint(TRUNCATE)' || exit 1
sync "$1" "$1-wal" 2> /dev/null || sync
wal=0; [ -f "$1-wal" ] && wal=$(stat -c %s "$1-wal")
echo "wal $wal"
"""


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SqliteOptions(DatabaseOptions):
    """Options of `sqlite`."""

    paths: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = Field(
        strict=False, min_length=1, description="Database files in the guest: paths, or globs such as /srv/*/app.db."
    )
    user: str | None = Field(default=None, description="Whom to open them as; else each file's owner.")


class Sqlite(Engine[SqliteOptions]):
    """Database files."""

    name = "sqlite"
    options = SqliteOptions

    def flush(self, flush: Flush[SqliteOptions]) -> None:
        """Every file, and only then the verdict."""
        failures: list[str] = []
        files = [file for path in flush.options.paths for file in self._find(flush, path, failures)]
        flush.before["wal_bytes"] = sum(wal for _, wal, _ in files)
        flush.before["files"] = len(files)
        left = 0
        for owner, wal, path in files:
            try:
                left += self._truncate(flush, flush.options.user or owner, path)
            except Unproven as error:
                failures.append(f"{path}: {error}")
                left += wal
        flush.after["wal_bytes"] = left
        if failures:
            raise Unproven("; ".join(failures))

    def _find(self, flush: Flush[SqliteOptions], path: str, failures: list[str]) -> list[tuple[str, int, str]]:
        """(owner, bytes in the log, path) of each file. Only `*`, `?` and `[` are special in a path."""
        pattern = "".join(one if one in "*?[]" or one.isalnum() else _quoted(one) for one in path)
        words = flush.sh(_FIND.replace("$1", pattern)).split("\0")[:-1]
        found = [(owner, number(wal), name) for owner, wal, name in zip(*[iter(words)] * 3, strict=False)]
        if not found:
            failures.append(f"{path}: no such file in the guest")
        return found

    def _truncate(self, flush: Flush[SqliteOptions], user: str, path: str) -> int:
        """The bytes left in the log. The pragma answers `1|…` with exit code 0 when somebody is in the way."""
        answer, _, wal = flush.sh(_FLUSH, path, user=user).strip().rpartition("wal ")
        busy = answer.strip().partition("|")[0]
        # The exit code is 0 also where a reader kept the log from being emptied.
        if busy != "0":
            held = "somebody reads or writes it and does not end; its log stays"
            raise Unproven(held if busy == "1" else masked(answer)[:400])
        if number(wal):
            raise Unproven(f"{wal} bytes are left in its log")
        return 0


def _quoted(one: str) -> str:
    """A character that means itself to a shell; a line end behind a backslash would vanish."""
    return "'\n'" if one == "\n" else f"\\{one}"

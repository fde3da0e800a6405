"""The clients of databases, run for real in a shell of this host: what a server answers runs nothing, and a server that
is somebody else's is not asked.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from lab.patience import LONGEST
from lastcall import CommandResult, Guest, HookFailed, SecretText
from lastcall.guest_shell.command_wrapper import wrap_command
from lastcall_plugins.databases import detection
from lastcall_plugins.databases.engine import Engine, Flush, Unproven, figures, number
from lastcall_plugins.databases.flushing import repair_all
from lastcall_plugins.databases.kinds import Database
from lastcall_plugins.databases.mariadb import MariadbOptions, Mysql
from lastcall_plugins.databases.ownership import OWN
from lastcall_plugins.databases.postgresql import Postgresql, PostgresqlOptions
from lastcall_plugins.databases.redis import Redis, RedisOptions
from lastcall_plugins.databases.sqlite import Sqlite, SqliteOptions

GUEST = Guest(uri="qemu:///system", uuid="11111111-2222-3333-4444-555555555555", name="db")
MINE = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="another user's server needs another user")


class LocalShell:
    """Runs commands in their frame on this host, with `path` before everything else."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def run(
        self,
        command: Sequence[str],
        *,
        timeout: float | None = None,
        user: str | None = None,
        env: Mapping[str, str | SecretText] | None = None,
    ) -> CommandResult:
        plain = {name: text.reveal() if isinstance(text, SecretText) else text for name, text in (env or {}).items()}
        if self._path:
            plain["PATH"] = f"{self._path}:{os.environ['PATH']}"
        frame = wrap_command(command, timeout=timeout or LONGEST, env=plain, user=None)
        done = subprocess.run(frame.command.argv, input=frame.command.input, capture_output=True, timeout=LONGEST)
        out, err = (data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr))
        return frame.read(
            CommandResult(exit_code=done.returncode, stdout=out, stderr=err, truncated=False, duration=0, shell="here")
        )


def flush(engine: Engine[Any], options: Any, folder: Path, path: Path | None = None) -> Flush[Any]:
    run: Any = SimpleNamespace(rehearsal=False, folder=folder, log=print)
    shell: Any = LocalShell(path)
    one = Flush(GUEST, run, shell, options)
    engine.flush(one)
    return one


def note_of(socket: Path) -> str:
    """The file in which the values of a MySQL server are kept."""
    return f"{GUEST.file_name}-{quote(str(socket), safe='')}.json"


def client(folder: Path, name: str, script: str) -> Path:
    """A program of that name; returns the folder to put before PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder


@contextmanager
def unix_server(path: Path, answer: Callable[[socket.socket], None]) -> Generator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                with one, suppress(OSError, struct.error, IndexError):
                    answer(one)

        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def evil_postgresql(columns: dict[str, str]) -> Callable[[socket.socket], None]:
    """A server that lets everybody in, and answers to each statement with one row of these columns."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!I", len(body) + 4) + body

    def text(value: str) -> bytes:
        return value.encode() + b"\0"

    ready = message(b"Z", b"I")
    fields = b"".join(text(name) + struct.pack("!IHIhiH", 0, 0, 25, -1, -1, 0) for name in columns)
    row = b"".join(struct.pack("!I", len(value.encode())) + value.encode() for value in columns.values())
    count = struct.pack("!H", len(columns))
    rows = message(b"T", count + fields) + message(b"D", count + row) + message(b"C", text("SELECT 1")) + ready

    def answer(one: socket.socket) -> None:
        (size,) = struct.unpack("!I", one.recv(4, socket.MSG_WAITALL))
        one.recv(size - 4, socket.MSG_WAITALL)
        one.sendall(message(b"R", struct.pack("!I", 0)) + message(b"S", text("server_version") + text("15.0")) + ready)
        while kind := one.recv(1):
            (size,) = struct.unpack("!I", one.recv(4, socket.MSG_WAITALL))
            one.recv(size - 4, socket.MSG_WAITALL)
            if kind == b"Q":
                one.sendall(rows)

    return answer


@pytest.mark.skipif(not shutil.which("psql"), reason="there is no psql here")
@pytest.mark.parametrize("column", ["lsn", "began", "standby", "x", "AUTOCOMMIT", "ON_ERROR_STOP", "PROMPT1"])
@pytest.mark.parametrize(
    "value", ["0/0 \\! touch {}\n", "`touch {}`", "'; \\! touch {}\n--", "f\n\\! touch {}\n", "\\! touch {}"]
)
def test_whatever_a_postgresql_server_answers_psql_runs_nothing(tmp_path: Path, column: str, value: str) -> None:
    made = tmp_path / "made"
    columns = {"standby": "f", "began": "0/0", column: value.format(made)}
    with unix_server(tmp_path / ".s.PGSQL.5432", evil_postgresql(columns)), pytest.raises(Unproven):
        flush(Postgresql(), PostgresqlOptions(socket=str(tmp_path), user=MINE, owner=MINE), tmp_path)
    assert not made.exists()


@pytest.mark.parametrize(
    "answer",
    ["pct=1\\! touch {}\nlwm=0", "pct=90\nlwm=0; \\! touch {}", "pct=\\! touch {}\nlwm=`touch {}`", "", "pct=90",
     "lwm=" + "9" * 5000],
)  # fmt: skip
def test_whatever_a_mysql_server_answers_is_no_part_of_the_next_statement(tmp_path: Path, answer: str) -> None:
    made, said = tmp_path / "made", tmp_path / "statements"
    answers = answer.format(made, made)
    script = f'for last in "$@"; do :; done; printf "%s\\n" "$last" >> {said}\ncat <<"END"\n{answers}\nEND'
    path = client(tmp_path / "bin", "mariadb", script)
    with unix_server(tmp_path / "my.sock", lambda _: None), pytest.raises(Unproven, match="no numbers"):
        flush(Mysql(), MariadbOptions(socket=str(tmp_path / "my.sock"), owner=MINE), tmp_path, path)
    assert "\\!" not in said.read_text()
    assert not made.exists()
    (tmp_path / note_of(tmp_path / "2.sock")).write_text('{"pct": "1 \\\\! touch x", "lwm": 0}')
    with unix_server(tmp_path / "2.sock", lambda _: None), pytest.raises(Unproven, match="no numbers"):
        flush(Mysql(), MariadbOptions(socket=str(tmp_path / "2.sock"), owner=MINE), tmp_path, path)


def test_a_mysql_client_gives_a_server_no_files_and_knows_where_it_goes(tmp_path: Path) -> None:
    said = tmp_path / "arguments"
    path = client(tmp_path / "bin", "mariadb", f'printf "%s\\n" "$@" >> {said}; echo "pct=1; lwm=x"')
    with unix_server(tmp_path / "my.sock", lambda _: None), pytest.raises(Unproven):
        flush(Mysql(), MariadbOptions(socket=str(tmp_path / "my.sock"), owner=MINE), tmp_path, path)
    arguments = said.read_text().splitlines()
    assert {"--local-infile=0", "--protocol=socket", f"--socket={tmp_path}/my.sock"} <= set(arguments)


REDIS = """case "$*" in
*INFO*) echo "# Persistence"; echo rdb_bgsave_in_progress:0; echo aof_rewrite_in_progress:0; {info} ;;
*"GET dir"*) echo dir; echo {dir} ;;
*"GET dbfilename"*) echo dbfilename; echo "{file}" ;;
*SAVE*) echo OK ;;
esac"""


@pytest.mark.parametrize(
    ("info", "file"),
    [
        ("echo rdb_changes_since_last_save:" + "9" * 5000, "dump.rdb"),
        ("echo rdb_changes_since_last_save:x", "dump.rdb"),
        ("echo 'rdb_changes_since_last_save:1_0'", "dump.rdb"),
        ("echo rdb_changes_since_last_save:0; echo rdb_last_save_time:never", "fifo"),
    ],
    ids=["huge", "a word", "underlined", "a pipe that nobody writes to"],
)
def test_what_a_redis_server_answers_is_a_figure_or_a_failure(tmp_path: Path, info: str, file: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = client(tmp_path / "bin", "redis-cli", REDIS.format(info=info, dir=tmp_path, file=file))
    with unix_server(tmp_path / "r.sock", lambda _: None), pytest.raises(Unproven):
        flush(Redis(), RedisOptions(socket=str(tmp_path / "r.sock"), owner=MINE), tmp_path, path)


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="there is no sqlite3 here")
def test_a_pipe_where_a_log_should_be_holds_nobody_up(tmp_path: Path) -> None:
    subprocess.run(["sqlite3", tmp_path / "a.db", "CREATE TABLE t (x)"], check=True)
    os.mkfifo(tmp_path / "a.db-wal")
    with pytest.raises(Unproven):
        flush(Sqlite(), SqliteOptions(paths=(str(tmp_path / "*.db"),)), tmp_path)


@pytest.mark.parametrize("text", ["", "x", "1_0", "١", "9" * 5000, "1.5", "0x1", " 1", "1\n", "-", None])
def test_only_a_number_is_a_number(text: str | None) -> None:
    with pytest.raises(Unproven):
        number(text)
    assert (number("-12"), number(None, -1), figures("a=1=2\nb\n")) == (-12, -1, {"a": "1=2"})


def own(call: str, owner: str) -> "subprocess.CompletedProcess[str]":
    script = f"{OWN}\n{call}"
    return subprocess.run(["sh", "-c", script], env={**os.environ, "OWNER": owner}, capture_output=True, text=True)


@contextmanager
def server_of(user: str, *words: str) -> Generator[None]:
    """A server that listens as somebody else: `unix PATH` or `tcp PORT`."""
    script = (
        "import os, pwd, socket, sys\n"
        "user, kind, where = sys.argv[1:]\n"
        "os.setuid(pwd.getpwnam(user).pw_uid)\n"
        "one = socket.socket(socket.AF_UNIX if kind == 'unix' else socket.AF_INET)\n"
        "one.bind(where if kind == 'unix' else ('127.0.0.1', int(where)))\n"
        "one.listen(); print('there', flush=True)\n"
        "while True:\n"
        "    other, _ = one.accept(); print(other.recv(99), flush=True); other.close()\n"
    )
    command = [sys.executable, "-I", "-c", script, user, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "there\n"
            yield
        finally:
            process.kill()


@AS_ROOT
def test_a_socket_of_somebody_else_is_not_asked_wherever_it_is() -> None:
    folder = Path("/tmp") / f"lastcall-test-{os.getpid()}"
    for mode, owner, expected in ((0o1777, "root", 1), (0o777, "root", 1), (0o755, "nobody", 1)):
        folder.mkdir(mode=0o755)
        try:
            folder.chmod(mode)
            shutil.chown(folder, owner)
            with server_of("nobody", "unix", str(folder / "s")):
                said = own(f"own_socket {folder}/s", "mysql-user-of-this-test")
                assert (said.returncode, "cannot be the server's" in said.stderr) == (expected, True)
                trusted = own(f"own_socket {folder}/s", "nobody")
                # Its own, in a folder where others could put something in its place: only the sticky bit forbids it.
                assert trusted.returncode == (1 if mode == 0o777 else 0)
        finally:
            shutil.rmtree(folder)


@AS_ROOT
def test_a_port_of_somebody_else_is_not_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    assert own(f"own_port {port}", "root").returncode == 0, "nobody listens: the client says so"
    with server_of("nobody", "tcp", port):
        assert own(f"own_port {port}", "root").returncode == 1
        assert own(f"own_port {port}", "65534").returncode == 0


@AS_ROOT
@pytest.mark.skipif(not shutil.which("psql"), reason="there is no psql here")
def test_a_password_does_not_reach_a_server_that_somebody_else_has_started(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"lastcall-peer-{os.getpid()}"
    folder.mkdir(mode=0o1777)
    password = tmp_path / "password"
    password.write_text("hunter2hunter2")
    password.chmod(0o600)
    try:
        folder.chmod(0o1777)
        given = {"socket": str(folder), "user": MINE, "owner": "postgres", "password_file": str(password)}
        options = PostgresqlOptions.model_validate(given)
        with server_of("nobody", "unix", str(folder / ".s.PGSQL.5432")), pytest.raises(Unproven, match="requirepeer"):
            flush(Postgresql(), options, tmp_path)
    finally:
        shutil.rmtree(folder)


class Told:
    def __init__(self, text: str) -> None:
        self._text = text

    def run(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(stdout=self._text)


def found(text: str) -> list[tuple[str, dict[str, Any]]]:
    shell: Any = Told(text)
    return [(one.kind, one.options) for one in detection.detect(shell)]


def test_only_what_belongs_to_the_usual_users_is_taken_for_a_database() -> None:
    users = "user=postgres 104\nuser=mysql 105\nuser=redis 106\n"
    real = "process=104 postgres x\nsocket=104 /run/postgresql/.s.PGSQL.5432\nprocess=106 redis-server *:6380\n"
    eve = "process=1001 mysqld --socket=/tmp/eve\nsocket=1001 /tmp/.s.PGSQL.5433\nprocess=1001 redis-server *:1\n"
    assert sorted(found(users + real + eve)) == [
        ("postgresql", {"socket": "/run/postgresql", "port": 5432}), ("redis", {"port": 6380}),
    ]  # fmt: skip
    assert found(eve) == []


@pytest.mark.parametrize(
    "text",
    ["process=", "process=104", "process=104 ", "socket=104 /x/.s.PGSQL." + "9" * 5000, "socket=104 /x/.s.PGSQL.70000",
     "process=106 redis-server *:" + "9" * 5000, "user=postgres", "=", "\0",
     "process=104 postgres\nsocket= /x/.s.PGSQL.1"],
)  # fmt: skip
def test_a_guest_that_answers_rubbish_has_no_databases_and_no_error(text: str) -> None:
    users = "user=postgres 104\nuser=redis 106\nprocess=104 postgres x\n"
    assert [one for one in found(users + text) if one != ("redis", {})] == []


MYSQL = """for last in "$@"; do :; done
printf "%s\\n" "$last" >> {said}
case "$last" in *CONCAT*) echo pct=90; echo lwm=10;; *STATUS*) printf "Innodb_buffer_pool_pages_dirty\\t0\\n";; esac"""
DAMAGED = {
    "no JSON": "{",
    "not a number": '{"pct": NaN, "lwm": 0}',
    "deep": "[" * 100_000,
    "huge": '{"pct": ' + "9" * 100_000 + "}",
    "another type": "[1, 2]",
    "nothing": "",
    "a list for a number": '{"pct": [1], "lwm": {}}',
    "a command of the client's": '{"pct": "1 \\\\! touch x", "lwm": "0"}',
    "an end of a statement": '{"pct": "1; DROP TABLE x", "lwm": "0"}',
}


@pytest.mark.parametrize("kind", [*DAMAGED, "a directory", "a named pipe"])
def test_a_damaged_note_costs_the_put_back_and_not_the_flush_and_is_kept(tmp_path: Path, kind: str) -> None:
    said, options = tmp_path / "statements", MariadbOptions(socket=str(tmp_path / "my.sock"), owner=MINE)
    path = client(tmp_path / "bin", "mariadb", MYSQL.format(said=said))
    (tmp_path / "notes").mkdir()
    note = tmp_path / "notes" / note_of(tmp_path / "my.sock")
    if kind == "a directory":
        note.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(note)
    else:
        note.write_text(DAMAGED[kind])
    with unix_server(tmp_path / "my.sock", lambda _: None):
        with pytest.raises(HookFailed, match="are not put back: ") as caught:
            flush(Mysql(), options, tmp_path / "notes", path)
        statements = said.read_text()
        assert "SET GLOBAL innodb_max_dirty_pages_pct_lwm=0, GLOBAL innodb_max_dirty_pages_pct=0" in statements
        assert not {"\\!", "DROP"} & set(statements.split())
        (kept,) = (tmp_path / "notes").iterdir()
        assert str(note) in str(caught.value)
        assert str(kept) in str(caught.value)
        assert kept != note
        flush(Mysql(), options, tmp_path / "notes", path)  # the next one finds nothing odd


def test_what_another_daemons_guest_of_the_same_uuid_has_noted_is_put_back_nowhere_else(tmp_path: Path) -> None:
    said, options = tmp_path / "statements", MariadbOptions(socket=str(tmp_path / "my.sock"), owner=MINE)
    path = client(tmp_path / "bin", "mariadb", MYSQL.format(said=said))
    (tmp_path / "notes").mkdir()
    other = Guest(uri="qemu+ssh://b/system", uuid=GUEST.uuid, name="db")
    (tmp_path / "notes" / f"{other.file_name}-usual.json").write_text('{"pct": "7", "lwm": "7"}')
    with unix_server(tmp_path / "my.sock", lambda _: None):
        flush(Mysql(), options, tmp_path / "notes", path)
    assert "pct=7" not in said.read_text()


def test_a_note_that_cannot_be_removed_keeps_no_other_database_from_its_repair(tmp_path: Path) -> None:
    run: Any = SimpleNamespace(rehearsal=False, folder=tmp_path, log=print)
    ports = (3306, 3307)
    notes = [tmp_path / f"{GUEST.file_name}-{port}.json" for port in ports]
    notes[0].mkdir()
    notes[1].write_text("{}")
    with pytest.raises(HookFailed, match=f"mysql: {notes[0]} cannot be removed"):
        repair_all([Database.model_validate({"mysql": {"port": port}}) for port in ports], GUEST, run)
    assert not notes[1].exists()


def test_a_guest_that_says_it_has_thousands_of_databases_has_none_of_them_flushed() -> None:
    lines = "".join(f"process=105 redis-server x:{port}\n" for port in range(1, 5000))

    class Says:
        def run(self, *_: object, **__: object) -> Any:
            return SimpleNamespace(stdout=f"user=redis 105\n{lines}")

    says: Any = Says()
    with pytest.raises(HookFailed, match="more than 100 databases") as caught:
        detection.detect(says)
    assert "name them" in caught.value.remedy

"""The clients of databases, run for real on this host, for guests of the lab: what a server answers runs nothing, and a
server that is somebody else's is not asked.
"""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lastcall import Guest, HookRecord, Run, Verdict, hookimpl
from lastcall.testing import Lab
from lastcall.testing.pytest_plugin import MakeLab
from lastcall_plugins.databases import detection
from lastcall_plugins.databases.engine import Unproven, figures, number
from lastcall_plugins.databases.ownership import OWN

MINE = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="another user's server needs another user")


def flushed(lab: Lab, kind: str, path: Path | None = None, **options: Any) -> HookRecord:
    """What the call did that flushed this database of a guest, whose commands run on this host: those in `path` before
    all others.
    """
    lab.config = json.dumps({"guests": [{"match": "db", "databases": [{kind: options}]}]})
    db = lab.guest("db")
    db.shell.runs_here(path=path)
    (record,) = lab.fire("on_guest_stop", db, rehearsal=False)
    return record


def unproven(record: HookRecord, words: str = "") -> bool:
    """Whether it failed because nobody can prove it, in these words; and not in a way that nobody has thought of."""
    evidence: Any = record.evidence
    assert (record.result, record.traceback) == (Verdict.FAILED, "")
    assert [one["proven"] for one in evidence.values()] == [False]
    assert "its answer is malformed" not in record.message
    return words in record.message


def note_of(lab: Lab, what: object) -> Path:
    """The file in which the values of a MySQL server are kept, at that port or socket."""
    folder = lab.folder / "plugins" / "databases"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{lab.guest('db').guest.file_name}-{quote(str(what), safe='')}.json"


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
def test_whatever_a_postgresql_server_answers_psql_runs_nothing(
    lastcall_lab: MakeLab, tmp_path: Path, column: str, value: str
) -> None:
    made = tmp_path / "made"
    columns = {"standby": "f", "began": "0/0", column: value.format(made)}
    with unix_server(tmp_path / ".s.PGSQL.5432", evil_postgresql(columns)):
        assert unproven(flushed(lastcall_lab(), "postgresql", socket=str(tmp_path), user=MINE, owner=MINE))
    assert not made.exists()


@pytest.mark.parametrize(
    "answer",
    ["pct=1\\! touch {}\nlwm=0", "pct=90\nlwm=0; \\! touch {}", "pct=\\! touch {}\nlwm=`touch {}`", "", "pct=90",
     "lwm=" + "9" * 5000],
)  # fmt: skip
def test_whatever_a_mysql_server_answers_is_no_part_of_the_next_statement(
    lastcall_lab: MakeLab, tmp_path: Path, answer: str
) -> None:
    lab = lastcall_lab()
    made, said = tmp_path / "made", tmp_path / "statements"
    answers = answer.format(made, made)
    script = f'for last in "$@"; do :; done; printf "%s\\n" "$last" >> {said}\ncat <<"END"\n{answers}\nEND'
    path = client(tmp_path / "bin", "mariadb", script)
    with unix_server(tmp_path / "my.sock", lambda _: None):
        assert unproven(flushed(lab, "mysql", path, socket=str(tmp_path / "my.sock"), owner=MINE), "no numbers")
    assert "\\!" not in said.read_text()
    assert not made.exists()
    note_of(lab, tmp_path / "2.sock").write_text('{"pct": "1 \\\\! touch x", "lwm": 0}')
    with unix_server(tmp_path / "2.sock", lambda _: None):
        assert unproven(flushed(lab, "mysql", path, socket=str(tmp_path / "2.sock"), owner=MINE), "no numbers")


def test_a_mysql_client_gives_a_server_no_files_and_knows_where_it_goes(lastcall_lab: MakeLab, tmp_path: Path) -> None:
    said = tmp_path / "arguments"
    path = client(tmp_path / "bin", "mariadb", f'printf "%s\\n" "$@" >> {said}; echo "pct=1; lwm=x"')
    with unix_server(tmp_path / "my.sock", lambda _: None):
        assert unproven(flushed(lastcall_lab(), "mysql", path, socket=str(tmp_path / "my.sock"), owner=MINE))
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
def test_what_a_redis_server_answers_is_a_figure_or_a_failure(
    lastcall_lab: MakeLab, tmp_path: Path, info: str, file: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = client(tmp_path / "bin", "redis-cli", REDIS.format(info=info, dir=tmp_path, file=file))
    with unix_server(tmp_path / "r.sock", lambda _: None):
        assert unproven(flushed(lastcall_lab(), "redis", path, socket=str(tmp_path / "r.sock"), owner=MINE))


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="there is no sqlite3 here")
def test_a_pipe_where_a_log_should_be_holds_nobody_up(lastcall_lab: MakeLab, tmp_path: Path) -> None:
    subprocess.run(["sqlite3", tmp_path / "a.db", "CREATE TABLE t (x)"], check=True)
    os.mkfifo(tmp_path / "a.db-wal")
    assert unproven(flushed(lastcall_lab(), "sqlite", paths=[str(tmp_path / "*.db")]))


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
def test_a_password_does_not_reach_a_server_that_somebody_else_has_started(
    lastcall_lab: MakeLab, tmp_path: Path
) -> None:
    folder = Path("/tmp") / f"lastcall-peer-{os.getpid()}"
    folder.mkdir(mode=0o1777)
    password = tmp_path / "password"
    password.write_text("hunter2hunter2")
    password.chmod(0o600)
    try:
        folder.chmod(0o1777)
        given = {"socket": str(folder), "user": MINE, "owner": "postgres", "password_file": str(password)}
        with server_of("nobody", "unix", str(folder / ".s.PGSQL.5432")):
            assert unproven(flushed(lastcall_lab(), "postgresql", None, **given), "requirepeer")
    finally:
        shutil.rmtree(folder)


class Looks:
    """A plugin that looks for databases as `auto` does."""

    def __init__(self) -> None:
        self.found = list[tuple[str, dict[str, Any]]]()

    @hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        self.found = [(one.kind, dict(one.options)) for one in detection.detect(run.shell(guest))]


def looked_for(lastcall_lab: MakeLab, text: str) -> tuple[HookRecord, list[tuple[str, dict[str, Any]]]]:
    """The call, and what it found in a guest that tells this of itself."""
    looks = Looks()
    lab = lastcall_lab(plugins={"looks": looks})
    db = lab.guest("db")
    db.shell.answers({"*": text})
    (record,) = lab.fire("on_guest_stop", db)
    return record, looks.found


def found(lastcall_lab: MakeLab, text: str) -> list[tuple[str, dict[str, Any]]]:
    record, ones = looked_for(lastcall_lab, text)
    assert record.result is Verdict.OK
    return ones


def test_only_what_belongs_to_the_usual_users_is_taken_for_a_database(lastcall_lab: MakeLab) -> None:
    users = "user=postgres 104\nuser=mysql 105\nuser=redis 106\n"
    real = "process=104 postgres x\nsocket=104 /run/postgresql/.s.PGSQL.5432\nprocess=106 redis-server *:6380\n"
    eve = "process=1001 mysqld --socket=/tmp/eve\nsocket=1001 /tmp/.s.PGSQL.5433\nprocess=1001 redis-server *:1\n"
    assert sorted(found(lastcall_lab, users + real + eve)) == [
        ("postgresql", {"socket": "/run/postgresql", "port": 5432}), ("redis", {"port": 6380}),
    ]  # fmt: skip
    assert found(lastcall_lab, eve) == []


@pytest.mark.parametrize(
    "text",
    ["process=", "process=104", "process=104 ", "socket=104 /x/.s.PGSQL." + "9" * 5000, "socket=104 /x/.s.PGSQL.70000",
     "process=106 redis-server *:" + "9" * 5000, "user=postgres", "=", "\0",
     "process=104 postgres\nsocket= /x/.s.PGSQL.1"],
)  # fmt: skip
def test_a_guest_that_answers_rubbish_has_no_databases_and_no_error(lastcall_lab: MakeLab, text: str) -> None:
    users = "user=postgres 104\nuser=redis 106\nprocess=104 postgres x\n"
    assert [one for one in found(lastcall_lab, users + text) if one != ("redis", {})] == []


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
def test_a_damaged_note_costs_the_put_back_and_not_the_flush_and_is_kept(
    lastcall_lab: MakeLab, tmp_path: Path, kind: str
) -> None:
    lab = lastcall_lab()
    said, options = tmp_path / "statements", {"socket": str(tmp_path / "my.sock"), "owner": MINE}
    path = client(tmp_path / "bin", "mariadb", MYSQL.format(said=said))
    note = note_of(lab, tmp_path / "my.sock")
    if kind == "a directory":
        note.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(note)
    else:
        note.write_text(DAMAGED[kind])
    with unix_server(tmp_path / "my.sock", lambda _: None):
        record = flushed(lab, "mysql", path, **options)
        assert (record.result, record.traceback) == (Verdict.FAILED, "")
        assert "are not put back: " in record.message
        statements = said.read_text()
        assert "SET GLOBAL innodb_max_dirty_pages_pct_lwm=0, GLOBAL innodb_max_dirty_pages_pct=0" in statements
        assert not {"\\!", "DROP"} & set(statements.split())
        (kept,) = note.parent.iterdir()
        assert str(note) in record.message
        assert str(kept) in record.message
        assert kept != note
        assert flushed(lab, "mysql", path, **options).result is Verdict.OK, "the next one finds nothing odd"


def test_what_another_daemons_guest_of_the_same_uuid_has_noted_is_put_back_nowhere_else(
    lastcall_lab: MakeLab, tmp_path: Path
) -> None:
    lab = lastcall_lab()
    said, options = tmp_path / "statements", {"socket": str(tmp_path / "my.sock"), "owner": MINE}
    path = client(tmp_path / "bin", "mariadb", MYSQL.format(said=said))
    other = Guest(uri="qemu+ssh://b/system", uuid=lab.guest("db").guest.uuid, name="db")
    notes = note_of(lab, "usual").parent
    (notes / f"{other.file_name}-usual.json").write_text('{"pct": "7", "lwm": "7"}')
    with unix_server(tmp_path / "my.sock", lambda _: None):
        assert flushed(lab, "mysql", path, **options).result is Verdict.OK
    assert "pct=7" not in said.read_text()


def test_a_note_that_cannot_be_removed_keeps_no_other_database_from_its_repair(lastcall_lab: MakeLab) -> None:
    lab, ports = lastcall_lab(), (3306, 3307)
    lab.guest("db")
    lab.shutdown()
    notes = [note_of(lab, port) for port in ports]
    notes[0].mkdir()
    notes[1].write_text("{}")
    lab.config = json.dumps({"guests": [{"match": "db", "databases": [{"mysql": {"port": port}} for port in ports]}]})
    (record,) = lab.restore().guest("db").hooks
    assert (record.hook, record.result, record.traceback) == ("on_guest_started", Verdict.FAILED, "")
    assert f"mysql: {notes[0]} cannot be removed" in record.message
    assert not notes[1].exists()


def test_a_guest_that_says_it_has_thousands_of_databases_has_none_of_them_flushed(lastcall_lab: MakeLab) -> None:
    lines = "".join(f"process=105 redis-server x:{port}\n" for port in range(1, 5000))
    record, ones = looked_for(lastcall_lab, f"user=redis 105\n{lines}")
    assert (record.result, record.traceback, ones) == (Verdict.FAILED, "", [])
    assert "more than 100 databases" in record.message
    assert "name them" in record.message.partition(" → ")[2]

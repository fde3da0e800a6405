"""Databases in a real Debian guest: the plug is pulled after the flush, nothing is missing, nothing is replayed."""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.daemon import Daemon
from lab.debian import build
from lab.debian_guests import DebianGuest, debian_guest, inside, run_inside
from lab.patience import wait_until
from lastcall import Guest
from support import PROGRAM, by_name_in, report_of, write_config, yaml_blocks

ALL = yaml_blocks("databases.md")[0]
PATIENT = "hooks: {timeout: 10min}\n"
"""What a flush takes depends on what else the machine does."""
ROWS, PAGES = 8_000, 2_200
"""Large rows, two of them a page in MariaDB: their bytes count, and each costs time. PostgreSQL would clean up behind
them after a minute, and write of that, too."""
DIRTY = f"""
su postgres -c 'psql -q -v ON_ERROR_STOP=1' <<'SQL'
DROP TABLE IF EXISTS t; CREATE TABLE t (n int, x text) WITH (autovacuum_enabled = off);
ALTER TABLE t ALTER x SET STORAGE PLAIN; CHECKPOINT;
INSERT INTO t SELECT g, repeat('x', 7000) FROM generate_series(1, {ROWS}) g;
SQL
mariadb <<'SQL'
CREATE DATABASE IF NOT EXISTS d; USE d; DROP TABLE IF EXISTS t; CREATE TABLE t (n int PRIMARY KEY, x varbinary(7000));
SET GLOBAL innodb_log_checkpoint_now=1; INSERT INTO t SELECT seq, REPEAT('x', 7000) FROM seq_1_to_{2 * PAGES};
SQL
redis-cli -e config set save '' > /dev/null
redis-cli -e eval "for i=1,20000 do redis.call('set','$1'..i,i) end" 0 > /dev/null
mkdir -p "/srv/it's \\$(here)"; chown -R worker "/srv/it's \\$(here)"; cd "/srv/it's \\$(here)"
rm -f "a b.db"*; mkfifo -m 666 pipe 2> /dev/null || :
su worker -c 'sqlite3 "a b.db" < pipe > out 2>&1 & echo $! > writer' ; exec 7> pipe
echo "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(n, x);
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<5000)
INSERT INTO t SELECT n, hex(zeroblob(200)) FROM c; SELECT 'written';" >&7
until grep -q written out; do sleep 0.2; done
(sleep 900 >&7) > /dev/null 2>&1 &
"""
FIGURES = """
question='SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), redo_lsn) FROM pg_control_checkpoint()'
echo pg_wal=$(su postgres -c "psql -Atc '$question'")
echo dirty=$(mariadb -NBe "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'" | cut -f2)
echo unsaved=$(redis-cli info persistence | tr -d '\\r' | sed -n 's/rdb_changes_since_last_save://p')
echo wal=$(cat /srv/*/"a b.db-wal" | wc -c)
"""
AFTERWARDS = """\
#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run; mkdir -m 1777 /dev/shm
ip link set lo up
install -d -o postgres /run/postgresql; install -d -o mysql /run/mysqld; install -d -o redis /run/redis
su postgres -c '/usr/lib/postgresql/15/bin/postgres -D /etc/postgresql/15/main' > /run/postgres.log 2>&1 & postgres=$!
su mysql -s /bin/sh -c mariadbd > /run/mariadb.log 2>&1 & mariadb=$!
su redis -s /bin/sh -c 'redis-server /etc/redis/redis.conf --daemonize no --logfile ""' > /run/redis.log 2>&1 & redis=$!
ready() { grep -qi 'ready .* connections' /run/$1.log; }
for server in postgres mariadb redis; do
    eval "pid=\\$$server"
    until ready $server || ! kill -0 $pid; do sleep 0.5; done
    ready $server || { echo "down=$server"; tail -n 30 /run/$server.log | sed 's/=/: /g'; }
done
echo pg_rows=$(su postgres -c "psql -Atc 'SELECT count(*) FROM t'")
echo maria_rows=$(mariadb -NBe 'SELECT COUNT(*) FROM d.t')
echo last_key=$(redis-cli get PREFIX20000)
echo wal=$(cat /srv/*/"a b.db-wal" 2> /dev/null | wc -c)
echo sqlite_rows=$(sqlite3 /srv/*/"a b.db" 'SELECT count(*) FROM t')
grep -h 'redo starts at' /run/postgres.log | sed 's/.*redo starts at /redo_from=/'
grep -h 'redo done at' /run/postgres.log | sed 's/.*redo done at \\([^ ]*\\).*/redo_to=\\1/'
sed -n 's/.*recovery from checkpoint LSN=\\([0-9]*\\).*/maria_from=\\1/p' /run/mariadb.log
sed -n 's/.*End of log at LSN=\\([0-9]*\\).*/maria_to=\\1/p' /run/mariadb.log
poweroff -ff
"""
"""The first and only process of a guest that boots from the disk that is left."""


@pytest.fixture(scope="module")
def db(lab: Daemon) -> Iterator[DebianGuest]:
    with debian_guest(lab, "db") as guest:
        yield guest


def figures(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def lsn(text: str) -> int:
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def maria_redo(found: dict[str, str]) -> int:
    """The bytes of log that MariaDB had to go through: it names where its log ends in any case, and where a recovery
    begins only when there is one."""
    return int(found["maria_to"]) - int(found.get("maria_from", found["maria_to"]))


def pull_the_plug(lab: Daemon, config: Path, prefix: str) -> tuple[Any, dict[str, str]]:
    """Dirty everything, stop a guest by its plug, and look at its disk; returns (its report, what is there then)."""
    with debian_guest(lab, "db") as db:
        script = AFTERWARDS.replace("PREFIX", prefix)
        db.sh(f"cat > /srv/afterwards <<'END'\n{script}END\nchmod +x /srv/afterwards; sync")
        db.sh(f"set -- {prefix}; {DIRTY}")
        dirty = {name: int(value) for name, value in figures(db.sh(FIGURES)).items()}
        assert dirty["pg_wal"] >= 50 * 2**20, dirty
        assert dirty["dirty"] >= 1000, dirty  # of some 2000, of which the server writes some back meanwhile
        assert dirty["unsaved"] >= 20_000, dirty
        assert dirty["wal"] > 2**20, dirty
        done = run_inside(lab, config, "shutdown", "--json")
        (guest,) = report_of(done)["guests"]
        assert guest["outcome"] == "forced", done.stderr
        return guest, figures(db.boot("/srv/afterwards"))


def test_without_the_flush_the_plug_costs_redis_its_data_and_the_others_a_recovery(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(
        tmp_path, lab.qemu, more=f"hooks: {{block: [databases]}}\ndefaults: {{stop: [destroy]}}\n{ALL}"
    )
    _, found = pull_the_plug(lab, config, "without")
    # Once in some attempts MariaDB 10.11 finds its data corrupted, and does not even start.
    assert found.get("down", "mariadb") == "mariadb"
    assert found["last_key"] == ""
    assert lsn(found["redo_to"]) - lsn(found["redo_from"]) > 2**20
    assert maria_redo(found) > 2**20
    assert int(found["wal"]) > 2**20


def test_after_the_flush_every_row_is_there_and_there_is_nothing_to_recover(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more=f"{PATIENT}defaults: {{stop: [destroy]}}\n{ALL}")
    guest, found = pull_the_plug(lab, config, "with")
    (call,) = guest["hooks"]
    assert (call["plugin"], call["result"]) == ("databases", "ok"), call
    evidence = call["evidence"]
    assert all(one["proven"] for one in evidence.values())
    assert evidence["postgresql"]["before"]["replay_bytes"] >= 50 * 2**20
    assert evidence["postgresql"]["after"]["replay_bytes"] < 65_536
    assert evidence["mariadb"]["before"]["dirty_pages"] >= 1
    # Not none: the proof is its checkpoint, and its own housekeeping goes on beside the flush.
    assert evidence["mariadb"]["after"]["dirty_pages"] <= PAGES / 100
    assert evidence["redis"]["before"]["unsaved_changes"] >= 20_000
    assert evidence["redis"]["after"]["unsaved_changes"] == 0
    assert evidence["sqlite"]["before"]["wal_bytes"] > 2**20
    assert evidence["sqlite"]["after"]["wal_bytes"] == 0
    assert found["pg_rows"] == str(ROWS)
    assert found["maria_rows"] == str(2 * PAGES)
    assert found["last_key"] == "20000"
    assert (found["sqlite_rows"], found["wal"]) == ("5000", "0")
    if "redo_from" in found:  # nothing at all to replay is no redo
        assert lsn(found["redo_to"]) - lsn(found["redo_from"]) < 65_536
    # What its own housekeeping has written since, if anything: a kilobyte was seen where the guest is quick.
    assert maria_redo(found) < 65_536


def fire(db: DebianGuest, tmp_path: Path, databases: Any, shell: str = "agent") -> tuple[Any, str]:
    """Rehearse a flush; returns (the call, everything that was printed)."""
    rule = {"match": "db", "shell": shell, "databases": databases}
    config = write_config(tmp_path, db.lab.qemu, more=f"{PATIENT}guests: [{json.dumps(rule)}]")
    done = run_inside(db.lab, config, "-v", "hook", "on_guest_stop", "--guest", "db", "--json")
    (call,) = json.loads(done.stdout)["fired"][0]["calls"]
    assert (done.returncode == 0) is (call["result"] == "ok")
    return call, done.stdout + done.stderr


def secret(tmp_path: Path, text: str) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return str(path)


def test_auto_finds_what_runs(db: DebianGuest, tmp_path: Path) -> None:
    call, _ = fire(db, tmp_path, "auto")
    assert call["result"] == "ok", call
    assert set(call["evidence"]) == {"postgresql", "mariadb", "redis"}


def test_the_text_shows_before_and_after_as_an_operator_reads_it(db: DebianGuest, tmp_path: Path) -> None:
    db.sh("install -d -o worker /srv/here; cd /srv/here; "
          "su worker -c 'sqlite3 \"a b.db\" \"PRAGMA journal_mode=WAL; CREATE TABLE t(n)\"'")  # fmt: skip
    config = write_config(tmp_path, db.lab.qemu, more=f"{PATIENT}{ALL}")
    text = run_inside(db.lab, config, "-q", "hook", "on_guest_stop", "--guest", "db").stdout
    assert re.search(r"✓ postgresql: replay [\d.]+ \w+ → \d+ B, data directory /var/lib/postgresql/15/main", text), text
    assert re.search(r"✓ mariadb: dirty pages \d+ → 0, checkpoint age [\d.]+ \w+ → \d+ B", text), text
    assert re.search(r"✓ redis: unsaved changes \d+ → 0, dump /var/lib/redis/dump.rdb, dump [\d.]+ \w+", text), text
    assert re.search(r"✓ sqlite: wal [\d.]+ \w+ → 0 B, files 1", text), text


def test_every_failing_flush_is_reported_as_what_it_is(db: DebianGuest, tmp_path: Path) -> None:
    password = secret(tmp_path, "pass word'$1")
    db.sh("su postgres -c psql <<'SQL'\nDO $$BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN OTHERS THEN NULL; END$$;\n"
          "ALTER ROLE plain PASSWORD 'pass word''$1';\nSQL\n"
          "mariadb -e \"CREATE OR REPLACE USER plain@localhost IDENTIFIED BY 'pass word''\\$1'\"")  # fmt: skip
    plain = {"socket": "127.0.0.1", "role": "plain", "password_file": password}
    call, _ = fire(
        db, tmp_path,
        [{"postgresql": plain}, {"postgresql": {"socket": "/nowhere"}},
         {"mariadb": {"user": "plain", "password_file": password}}, {"mariadb": {"socket": "/nowhere"}},
         {"redis": {"port": 6380}}, {"sqlite": {"paths": ["/srv/none.db", "/etc/passwd"]}},
         {"custom": {"name": "liar", "flush": "false; exit 0", "proof": "echo 3 unsaved", "pattern": "0 unsaved"}},
         {"custom": {"name": "fails", "flush": "exit 9", "proof": "echo 0 unsaved", "pattern": "0 unsaved"}},
         {"custom": {"name": "fine", "flush": "true", "proof": "echo 0 unsaved", "pattern": "0 unsaved"}}],
    )  # fmt: skip
    assert call["result"] == "failed"
    failures = {name: one.get("failure", "") for name, one in call["evidence"].items()}
    told = "\n".join(f"{name}: {failure}" for name, failure in failures.items())
    for expected in (
        r"postgresql: .*must be superuser or have privileges of pg_checkpoint",
        r"postgresql /nowhere: .*No such file or directory",
        r"mariadb: .*Access denied; you need .*SUPER",
        r"mariadb /nowhere: there is no socket /nowhere",
        r"redis: .*Connection refused",
        r"sqlite: /srv/none.db: no such file in the guest; /etc/passwd: .*not a database",
        r"liar: the proof says '3 unsaved', which does not match '0 unsaved'",
        r"fails: the flush failed with exit code 9",
    ):
        assert re.search(expected, told), told
    assert failures["fine"] == ""
    assert not any(one["proven"] for name, one in call["evidence"].items() if name != "fine")


def test_redis_with_a_folder_that_it_cannot_write_fails_and_a_dump_under_way_is_waited_for(
    db: DebianGuest, tmp_path: Path
) -> None:
    db.sh("redis-cli set some thing; chattr +i /var/lib/redis || chmod 500 /var/lib/redis")
    call, _ = fire(db, tmp_path, ["redis"])
    assert call["result"] == "failed"
    assert "the server answers: " in call["message"]
    db.sh("chattr -i /var/lib/redis; chmod 750 /var/lib/redis")
    call, _ = fire(db, tmp_path, ["redis"])
    assert call["result"] == "ok", f"the folder is as it should be again: {call['message']}"
    db.sh("redis-cli -e set other thing; "
          "redis-cli eval \"for i=1,3000 do redis.call('set','slow'..i,i) end\" 0; "
          "redis-cli config set rdb-key-save-delay 200; redis-cli -e bgsave; "
          "redis-cli -e set latest thing")  # fmt: skip
    call, _ = fire(db, tmp_path, ["redis"])
    assert call["result"] == "ok", call["message"]
    assert call["evidence"]["redis"]["after"]["unsaved_changes"] == 0
    db.sh("redis-cli config set rdb-key-save-delay 0")


def test_a_reader_in_the_way_of_sqlite_is_told(db: DebianGuest, tmp_path: Path) -> None:
    db.sh("cd /srv; rm -f r.db* rp out; mkfifo rp; sqlite3 r.db 'PRAGMA journal_mode=WAL; CREATE TABLE t(n); "
          "INSERT INTO t VALUES(1)'; (sqlite3 r.db < rp > out 2>&1 &) ; exec 7> rp; "
          "echo 'BEGIN; SELECT * FROM t;' >&7; "
          "until grep -q 1 out; do sleep 0.2; done; sqlite3 r.db 'INSERT INTO t VALUES(2)'; "
          "(sleep 900 >&7) > /dev/null 2>&1 & echo $! > /srv/holder")  # fmt: skip
    call, _ = fire(db, tmp_path, [{"sqlite": {"paths": "/srv/r.db"}}])
    assert "somebody reads or writes it and does not end" in call["message"], call
    db.sh("kill $(cat /srv/holder); pkill sqlite3 || :")
    assert fire(db, tmp_path, [{"sqlite": {"paths": "/srv/r.db"}}])[0]["result"] == "ok"


def test_values_changed_for_mysql_are_put_back_also_when_the_runner_is_killed(
    db: DebianGuest, lab: Daemon, tmp_path: Path
) -> None:
    values = "mariadb -NBe 'SELECT @@innodb_max_dirty_pages_pct, @@innodb_max_dirty_pages_pct_lwm'"
    db.sh("mariadb -e 'SET GLOBAL innodb_max_dirty_pages_pct=77, GLOBAL innodb_max_dirty_pages_pct_lwm=7'")
    before = db.sh(values)
    call, _ = fire(db, tmp_path, ["mysql"])
    assert call["result"] == "ok", call
    assert db.sh(values) == before
    notes = tmp_path / "state" / "plugins" / "databases"
    assert list(notes.glob("*.json")) == []
    # As after the death of the guest's script, too: only the note knows.
    noted = Guest(uri=lab.qemu, uuid=lab.virsh("domuuid", "db").strip(), name="db").file_name
    (notes / f"{noted}-usual.json").write_text('{"pct": "77.000000", "lwm": "7.000000"}')
    db.sh("mariadb -e 'SET GLOBAL innodb_max_dirty_pages_pct_lwm=0, GLOBAL innodb_max_dirty_pages_pct=0'")
    assert fire(db, tmp_path, ["mysql"])[0]["result"] == "ok"
    assert db.sh(values) == before
    assert list(notes.glob("*.json")) == []


def test_a_runner_that_is_killed_leaves_the_servers_values_as_they_were(db: DebianGuest, tmp_path: Path) -> None:
    values = "mariadb -NBe 'SELECT @@innodb_max_dirty_pages_pct, @@innodb_max_dirty_pages_pct_lwm'"
    before = db.sh(values)
    rule = {"match": "db", "shell": "agent", "databases": ["mysql"]}
    config = write_config(tmp_path, db.lab.qemu, more=f"{PATIENT}guests: [{json.dumps(rule)}]")
    command = [*inside(db.lab), str(PROGRAM), "--config", str(config), "hook", "on_guest_stop", "--guest", "db"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    notes = tmp_path / "state" / "plugins" / "databases"
    wait_until(lambda: list(notes.glob("*.json")), "it has taken notes", process=process.pid, pause=0.01)
    time.sleep(0.3)
    process.kill()
    process.wait()
    db.wait_until(lambda: db.sh("pgrep -c -f '[l]astcall-' || :").strip() == "0", "its script ends")
    assert db.sh(values) == before


def test_no_secret_shows_anywhere(db: DebianGuest, tmp_path: Path) -> None:
    word = "Xyzzy-Plugh-42"
    first, _, rest = word.partition("-")  # the agent's own journal must not have it from us
    grant = "GRANT SUPER ON *.* TO boss@localhost"
    db.sh(f"w={first}; mariadb -e \"CREATE OR REPLACE USER boss@localhost IDENTIFIED BY '$w-{rest}'; {grant}\"")
    db.sh("(for i in $(seq 300); do cat /proc/[0-9]*/cmdline; sleep 0.05; done > /tmp/seen 2> /dev/null &)")
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for name in ("cmdline", "environ"):
                for path in Path("/proc").glob(f"[0-9]*/{name}"):
                    try:
                        seen.append(path.read_bytes()) if word.encode() in path.read_bytes() else None
                    except OSError:
                        continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    call, printed = fire(db, tmp_path, [{"mariadb": {"user": "boss", "password_file": secret(tmp_path, word)}}])
    wrong, also = fire(db, tmp_path, [{"redis": {"user": "boss", "password_file": secret(tmp_path, word)}}])
    over.set()
    watcher.join()
    assert call["result"] == "ok", call
    assert wrong["result"] == "failed"
    assert seen == []
    assert word not in printed + also
    assert db.sh("grep -c Xyzz[y]-Plugh-42 /tmp/seen || :").strip() == "0"
    assert db.sh("test -s /tmp/seen; journalctl --no-pager | grep -c Xyzz[y]-Plugh-42 || :").strip() == "0"
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [path for path in kept if word in path.read_text(errors="replace")]


def test_openssh_and_dropbear_let_in_by_key_and_password_and_become_other_users(
    db: DebianGuest, lab: Daemon, tmp_path: Path
) -> None:
    rule: dict[str, Any] = {"match": "db", "shell": ["ssh"], "ssh": {"key": str(build().key)}}
    rule["commands"] = [{"run": "id -un; echo $HOME", "user": "postgres", "rehearse": True}]

    def said(**ssh: Any) -> list[str]:
        rule["ssh"] = {"key": str(build().key), **ssh}
        write_config(tmp_path, lab.qemu, more=f"{PATIENT}guests: [{json.dumps(rule)}]")
        done = run_inside(lab, tmp_path / "config.yaml", "-v", "hook", "on_guest_stop", "--guest", "db")
        return [line.split("commands: ", 1)[1] for line in done.stderr.splitlines() if "commands: " in line]

    assert "the host key of db is not known" in said()[0]
    enrolled = run_inside(lab, tmp_path / "config.yaml", "ssh", "enroll", "db")
    assert enrolled.returncode == 0, enrolled.stderr
    assert enrolled.stdout.count("✓ db: ") == 4, "three of OpenSSH, one of dropbear"
    again = run_inside(lab, tmp_path / "config.yaml", "ssh", "enroll", "db")
    assert (again.returncode, "known already" in again.stderr) == (1, True)
    home = ["postgres", "/var/lib/postgresql"]
    assert said() == home
    assert said(port=2222) == home
    assert said(user="worker") == home, "by sudo"
    assert said(user="worker", key=None, password_file=secret(tmp_path, "open sesame")) == home
    assert (
        "worker was not let in with the password"
        in said(user="worker", key=None, password_file=secret(tmp_path, "x"))[0]
    )
    asked = run_inside(lab, tmp_path / "config.yaml", "ssh", "enroll", "--ask", "--replace", "db", given="n\n")
    assert (asked.returncode, "SHA256:" in asked.stdout) == (1, True)
    asked = run_inside(lab, tmp_path / "config.yaml", "ssh", "enroll", "--ask", "--replace", "db", given="y\n")
    assert (asked.returncode, said()) == (0, home)


def test_plan_tells_system_and_addresses(db: DebianGuest, lab: Daemon, tmp_path: Path) -> None:
    text = run_inside(lab, write_config(tmp_path, lab.qemu), "-v", "plan").stdout
    assert "Debian GNU/Linux 12 (bookworm)" in text
    assert db.address in text


def test_services_are_stopped_after_the_flush_with_proof_and_ssh_powers_the_guest_off(
    db: DebianGuest, lab: Daemon, tmp_path: Path
) -> None:
    ways = [{name: {"stop": True}} for name in ("postgresql", "mariadb", "redis")]
    failing = {"custom": {"name": "broken", "flush": "false", "proof": "true", "pattern": "x"}}
    rule = {"match": "db", "shell": ["agent", "ssh"], "stop": ["ssh"], "ssh": {"key": str(build().key)},
            "databases": [*ways, failing]}  # fmt: skip
    config = write_config(tmp_path, lab.qemu, more=f"{PATIENT}guests: [{json.dumps(rule)}]")
    assert run_inside(lab, config, "ssh", "enroll", "db").returncode == 0
    rehearsed = run_inside(lab, config, "hook", "on_guest_stop", "--guest", "db")
    assert "✗ broken" in rehearsed.stdout
    assert db.sh("systemctl is-active mariadb redis-server postgresql@15-main | sort -u").strip() == "active"
    done = run_inside(lab, config, "shutdown", "--json")
    guest = by_name_in(report_of(done), "db")
    assert (guest["outcome"], guest["method"], done.returncode) == ("stopped", "ssh", 1), done.stderr
    (call,) = guest["hooks"]
    told = call["evidence"]
    assert call["message"].startswith("broken: "), "the others did not fail, and the stop went on"
    assert told["postgresql"]["after"]["cluster"] == "shut down"
    assert told["mariadb"]["after"]["service"] == "inactive"
    assert (told["redis"]["after"]["service"], told["redis"]["after"]["dump_checked"]) == ("inactive", "ok")
    assert all(told[name]["proven"] for name in ("postgresql", "mariadb", "redis"))

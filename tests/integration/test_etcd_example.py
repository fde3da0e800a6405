"""contrib/etcd on a real cluster of three: order across two hosts, and what becomes of it when two members are dead."""

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.daemon import Daemon
from lab.etcd import Cluster, cluster
from lab.guests import driver_guests, states
from lab.patience import wait_until
from support import by_name_in, report_of, run_lastcall, start_and_wait_for, write_config

EXAMPLE = Path(__file__).parents[2] / "contrib" / "etcd" / "40-etcd.py"
HELD = """\
import time
import lastcall

@lastcall.hookimpl
def on_guest_stop(guest, run):
    while not (run.folder.parents[2] / "go").exists():
        time.sleep(0.1)
"""


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "etcd") as made:
        yield made


def host(folder: Path, lab: Daemon, etcd: Cluster, name: str, guests: str) -> Path:
    """The configuration of a host on whose libvirt others' guests are none of its business."""
    folder.mkdir()
    members = ", ".join(f"'{member}'" for member in etcd.members.values())
    section = f"plugins: {{etcd: {{members: [{members}], host: {name}}}}}\nguests:\n{guests}"
    config = write_config(folder, lab.test, more=section)
    shutil.copy(EXAMPLE, folder / "hooks.d")
    return config


def test_a_guest_waits_for_one_of_another_host_and_without_a_quorum_power_goes_on_and_a_person_is_refused(
    lab: Daemon, tmp_path: Path, etcd: Cluster
) -> None:
    with driver_guests(lab, ["web", "db"]) as connection, ThreadPoolExecutor(1) as one:
        ha = host(tmp_path / "a", lab, etcd, "ha", "  - {match: db, manage: false}\n")
        (tmp_path / "a" / "hooks.d" / "50-slow.py").write_text(HELD)
        rules = "  - {match: web, manage: false}\n  - {match: db, etcd: {after: [ha/web]}}\n"
        hb = host(tmp_path / "b", lab, etcd, "hb", rules)
        assert "etcd" not in run_lastcall(ha, "check").stdout
        stop = ("shutdown", "--reason", "power", "--deadline", "60s", "--json")
        first = one.submit(run_lastcall, ha, *stop)
        etcd.wait_for("/lastcall/up/ha/web")
        second = start_and_wait_for(hb, "ha/web", *stop)
        assert states(connection) == {"web": "running", "db": "running"}
        (tmp_path / "a" / "go").touch()
        web, db = by_name_in(report_of(first.result()), "web"), by_name_in(json.loads(second.communicate()[0]), "db")
        assert (web["outcome"], db["outcome"]) == ("stopped", "stopped")
        assert "ha/web" in str(db["waited_for"])

        assert run_lastcall(ha, "restore").returncode == 0
        assert run_lastcall(hb, "restore").returncode == 0
        etcd.kill("a")
        # They elect another leader first, which a busy machine lets take a while.
        wait_until(lambda: "etcd" not in run_lastcall(hb, "check").stdout, "two of three are a quorum")
        etcd.kill("b")
        assert "etcd does not answer" in run_lastcall(hb, "check").stdout
        by_hand = run_lastcall(hb, "shutdown", "--yes", "--json")
        assert by_hand.returncode == 1
        assert "nobody can say who else is still up" in by_hand.stdout
        assert set(states(connection).values()) == {"running"}
        began = time.monotonic()
        done = report_of(run_lastcall(hb, *stop))
        assert by_name_in(done, "db")["outcome"] == "stopped"
        assert time.monotonic() - began < 30

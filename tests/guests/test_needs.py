"""What guests need for their start and that is not there yet: networks, storage pools, files; with a real libvirtd."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import libvirt

from lab.daemon import Daemon
from lab.guests import FIRMWARE, opened, remove, states
from support import report_of, run_lastcall, waiting_guests, write_config

_VOLUME = "<disk type='volume'><source pool='vault' volume='v.img'/><target dev='vda' bus='virtio'/></disk>"
_POOL = "<pool type='dir'><name>vault</name><target><path>{}</path></target></pool>"
_NETWORK = "<network><name>closed</name><bridge name='lcclosed'/></network>"
_CARD = "<interface type='network'><source network='closed'/></interface>"
_ONE_TRY = "restore: {attempts: 1}"


def disk(path: Path, policy: str = "") -> str:
    return f"<disk type='file' device='cdrom'><source file='{path}'{policy}/><target dev='sda' bus='sata'/></disk>"


@contextmanager
def stopped(lab: Daemon, config: Path, devices: str) -> Generator[libvirt.virConnect]:
    """A guest with devices that was stopped by lastcall; networks and pools of the lab are inactive again."""
    with opened(lab.qemu) as connection:
        try:
            xml = FIRMWARE.format(name="needy").replace("</domain>", f"<devices>{devices}</devices></domain>")
            connection.defineXML(xml).create()
            done = run_lastcall(config, "shutdown", "--json")
            assert report_of(done)["guests"][0]["outcome"] == "forced", done.stderr
            put_away(connection)
            yield connection
        finally:
            remove(connection, ["needy"])
            put_away(connection)
            for thing in (*connection.listAllNetworks(), *connection.listAllStoragePools()):
                thing.undefine()


def put_away(connection: libvirt.virConnect) -> None:
    for thing in (*connection.listAllNetworks(), *connection.listAllStoragePools()):
        if thing.isActive():
            thing.destroy()


def configured(folder: Path, lab: Daemon) -> Path:
    return write_config(folder, lab.qemu, more=f"defaults: {{stop: [destroy]}}\n{_ONE_TRY}")


def restored(config: Path, *words: str) -> str:
    (guest,) = report_of(run_lastcall(config, "restore", "--json", *words))["guests"]
    return guest["outcome"]


def test_an_inactive_network_is_started_for_the_guest_that_needs_it(lab: Daemon, tmp_path: Path) -> None:
    config = configured(tmp_path, lab)
    with opened(lab.qemu) as connection:
        connection.networkDefineXML(_NETWORK).create()
    with stopped(lab, config, _CARD) as connection:
        assert restored(config) == "started"
        assert connection.networkLookupByName("closed").isActive()
        assert states(connection) == {"needy": "running"}


def test_an_inactive_pool_is_started_and_a_volume_that_has_come_since_is_found(lab: Daemon, tmp_path: Path) -> None:
    config, vault = configured(tmp_path, lab), tmp_path / "vault"
    vault.mkdir()
    volume = vault / "v.img"
    volume.write_bytes(b"\0" * 2**20)
    with opened(lab.qemu) as connection:
        connection.storagePoolDefineXML(_POOL.format(vault)).create()
    with stopped(lab, config, _VOLUME) as connection:
        volume.rename(tmp_path / "away.img")
        connection.storagePoolLookupByName("vault").create()
        threading.Timer(3, (tmp_path / "away.img").rename, [volume]).start()
        assert restored(config) == "started"


def test_a_pool_whose_folder_is_not_mounted_yet_is_waited_for(lab: Daemon, tmp_path: Path) -> None:
    config, vault = configured(tmp_path, lab), tmp_path / "vault"
    vault.mkdir()
    (vault / "v.img").write_bytes(b"\0" * 2**20)
    with opened(lab.qemu) as connection:
        connection.storagePoolDefineXML(_POOL.format(vault)).create()
    with stopped(lab, config, _VOLUME):
        vault.rename(tmp_path / "away")
        threading.Timer(3, (tmp_path / "away").rename, [vault]).start()
        assert restored(config) == "started"


def test_a_file_that_is_not_there_is_waited_for_and_status_says_so_until_it_is(lab: Daemon, tmp_path: Path) -> None:
    config, image, away = configured(tmp_path, lab), tmp_path / "disk.img", tmp_path / "away.img"
    image.write_bytes(b"\0" * 2**20)
    with stopped(lab, config, disk(image)):
        image.rename(away)
        assert restored(config, "--deadline", "12s") == "failed"
        assert f"waits for {image}; restored by `lastcall restore needy`" in run_lastcall(config, "status").stdout
        threading.Timer(3, away.rename, [image]).start()
        assert restored(config) == "started"
        assert waiting_guests(tmp_path / "state") == []


def test_what_nobody_has_defined_is_waited_for_by_nobody(lab: Daemon, tmp_path: Path) -> None:
    config = configured(tmp_path, lab)
    with opened(lab.qemu) as connection:
        connection.networkDefineXML(_NETWORK).create()
    with stopped(lab, config, _CARD) as connection:
        connection.networkLookupByName("closed").undefine()
        assert restored(config) == "failed"
        assert "parked" in run_lastcall(config, "status").stdout


def test_a_medium_that_may_be_missing_is_not_waited_for(lab: Daemon, tmp_path: Path) -> None:
    config, image = configured(tmp_path, lab), tmp_path / "cd.iso"
    image.write_bytes(b"\0" * 2**20)
    with stopped(lab, config, disk(image, " startupPolicy='optional'")):
        image.unlink()
        assert restored(config) == "started"

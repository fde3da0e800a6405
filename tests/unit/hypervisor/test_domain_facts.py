"""What a domain's XML says against saving it, and of its metadata."""

from xml.etree import ElementTree as ET

import pytest

from lastcall import Guest
from lastcall.api.guests import Reason
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.metadata import parse_element as parse_metadata
from lastcall.config.metadata import read_metadata, render
from lastcall.hypervisor.domain_facts import unsaveable


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("<hostdev mode='subsystem' type='pci'/>", "it has a PCI host device"),
        ("<hostdev mode='subsystem' type='mdev'/>", "it has a mediated host device"),
        ("<hostdev mode='subsystem' type='usb'/>", ""),
        ("<interface type='hostdev'/>", "it has a PCI host device as network card"),
        ("<interface type='network'/>", ""),
        ("<filesystem type='mount'><driver type='virtiofs'/></filesystem>", "it has a virtiofs file system"),
        ("<filesystem type='mount'><driver type='path'/></filesystem>", ""),
    ],
)
def test_some_devices_cannot_be_saved(device: str, why: str) -> None:
    assert unsaveable(ET.fromstring(f"<domain><devices>{device}</devices></domain>")) == why  # noqa: S314


def test_metadata_goes_through_xml_unharmed() -> None:
    texts = {"depends_on": "[a, b<c>]", "timeout": "5min"}
    assert parse_metadata(render(texts)) == texts
    assert parse_metadata(None) == {}


def test_metadata_may_set_every_core_key_that_runs_nothing() -> None:
    model = type(parse("{}").settings(Vocabulary()).defaults)
    guest = Guest(uri="u", uuid="i", name="g")
    given = {
        "depends_on": "[a]", "order": "3", "timeout": "7s", "manage": "false", "paused": "leave", "transient": "leave",
        "restore": "always", "ready_timeout": "1min", "stop": "[]", "last_resort": "leave",
    }  # fmt: skip
    policy, problems = read_metadata(model, guest, given)
    assert problems == []
    assert policy is not None
    assert (policy.order, policy.timeout, policy.manage, policy.restore) == (3, 7, False, "always")


def test_what_differs_for_a_reason_is_only_what_is_given() -> None:
    text = "shutdown: {deadline: 8min, parallel: 3, by_reason: {power: {deadline: 90s}, reboot: {parallel: 0}}}"
    settings = parse(text).settings(Vocabulary())
    power, reboot = settings.for_reason(Reason.POWER).shutdown, settings.for_reason(Reason.REBOOT).shutdown
    assert (power.deadline, power.parallel) == (90, 3)
    assert (reboot.deadline, reboot.parallel) == (480, 0)
    assert settings.for_reason(Reason.MANUAL).shutdown.deadline == 480

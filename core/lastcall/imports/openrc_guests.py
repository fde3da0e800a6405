"""The libvirt-guests of Gentoo and Alpine with OpenRC: a script of its own, with settings of its own.

It asks all guests of a connection at once, and pulls the plug of whoever has not stopped after LIBVIRT_MAXWAIT seconds;
or it saves them, one after the other.
"""

import re
from collections.abc import Mapping

from lastcall.imports.imported_config import Dialect, ImportedMeaning, StopWay, words_of, wrong_number

DEFAULTS = {
    "LIBVIRT_URIS": "qemu:///system", "LIBVIRT_SHUTDOWN": "managedsave", "LIBVIRT_MAXWAIT": "500",
    "LIBVIRT_IGNORE_AUTOSTART": "no", "LIBVIRT_NET_SHUTDOWN": "yes", "LIBVIRT_START": "yes",
}  # fmt: skip
_WAYS: Mapping[str, StopWay] = {"shutdown": "shutdown", "destroy": "destroy"}  # any other word saves
# Also where it stands in a comment: the file as it is shipped sets nothing, and has defaults of its own.
_OURS = re.compile(rf"^[ \t#]*(?:export[ \t]+)?(?:{'|'.join(DEFAULTS)})=", re.MULTILINE)


def is_openrc(text: str) -> bool:
    """Whether the settings are for this script."""
    return bool(_OURS.search(text))


def _wrong(name: str, text: str) -> str:
    if name == "LIBVIRT_MAXWAIT" and text:
        return "0 leaves a guest no time at all" if text == "0" else wrong_number(name, text)
    if name == "LIBVIRT_NET_SHUTDOWN" and text != "no":
        return "lastcall stops and starts no networks; `virsh net-autostart` has libvirt start one with the host"
    return ""


def _meaning(given: Mapping[str, str]) -> ImportedMeaning:
    uris = ["qemu:///system" if uri == "qemu" else uri for uri in words_of(given["LIBVIRT_URIS"])]
    way = _WAYS.get(given["LIBVIRT_SHUTDOWN"], "save")
    timeout = given["LIBVIRT_MAXWAIT"] or DEFAULTS["LIBVIRT_MAXWAIT"]
    told = f"LIBVIRT_SHUTDOWN={given['LIBVIRT_SHUTDOWN']}"
    return ImportedMeaning(
        uris=list(dict.fromkeys(uris)) or [DEFAULTS["LIBVIRT_URIS"]],
        way=way,
        slots=1 if way == "save" else 0,
        timeout=int(timeout),
        forces=True,
        transient="stop",
        starts=given["LIBVIRT_START"] != "no",
        sync_time=True,
        sources={
            "connections": "LIBVIRT_URIS",
            "parallel": told,
            "policy": f"LIBVIRT_START={given['LIBVIRT_START']}",
            "delay": "none between two starts",
            "sync_time": "the clock of every guest is set",
            "bypass_cache": "saved memory is read through the cache",
            "stop": told,
            "timeout": f"LIBVIRT_MAXWAIT={timeout}",
            "last_resort": "the plug is pulled after LIBVIRT_MAXWAIT",
            "transient": "transient guests are stopped, too",
        },
    )


_WORDS = {"LIBVIRT_SHUTDOWN": ("shutdown", "destroy", "managedsave"), "LIBVIRT_START": ("no", "yes")}
OPENRC = Dialect(defaults=DEFAULTS, words=_WORDS, wrong=_wrong, meaning=_meaning)

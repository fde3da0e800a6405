"""Every reader of text that comes from outside, what it may end in, and good inputs to begin with."""

import json
from functools import partial
from xml.etree import ElementTree as ET

from fuzz import configurations, fleet, guests, kept_files, power
from fuzz.configurations import GUEST
from fuzz.guests import NEXT, NONCE
from fuzz.inputs import documents, elements, texts
from fuzz.judgement import Reader
from fuzz.kept_files import BOOT, PID
from fuzz.seeds import DOMAIN_XML, GREETING, LIBVIRT_GUESTS, LOG, METADATA, PAGES, SCRIPT, YAML_PIECES
from lastcall.errors import ConfigInvalid, LastcallError, ShellError
from lastcall.persistence.state import StateInvalid
from lastcall_plugins.databases.kinds import ENGINES

_SINCE = "2026-01-01T00:00:00+00:00"
_HELD_LOCK = json.dumps(
    {"url": "https://locks", "group": "g", "id": "a", "since": _SINCE, "boot": BOOT, "sure": True, "unready": ["web"]}
)
_MAINTENANCE = json.dumps(
    {"since": _SINCE, "boot": BOOT, "others": [{"uri": GUEST.uri, "uuid": GUEST.uuid, "run": "r"}]}
)
_ENTRY = {
    "uri": GUEST.uri, "uuid": GUEST.uuid, "name": "db", "driver": "QEMU", "state": "running", "run": "r",
    "boot_id": BOOT, "since": "2026-11-26T10:00:00+00:00", "due": True, "parked": False, "left": False, "cause": "host",
    "restarts": False, "bad_image": False, "waits_for": "",
}  # fmt: skip
_STATE = json.dumps(
    {"version": 1, "boot": BOOT, "previous_boot": "b", "restored_in": None, "guests": [_ENTRY, {**_ENTRY, "uuid": "2"}]}
)
_HISTORY = json.dumps(
    {
        "version": 2,
        "run": {"seen": "2026-11-26T10:00:00", "times": [], "calls": {"pre_shutdown x": [0.5]}},
        "guests": {
            "qemu:///system a": {
                "seen": "2026-11-26T10:00:00",
                "times": [["acpi", 1.5], ["save", 2]],
                "calls": {"on_guest_stop x": [0.3, 1]},
            }
        },
    }
)
_SEEN = json.dumps({"version": 1, "by": "ada", "at": "2026-11-26T03:10:00+00:00", "runs": ["20261126T031000Z-1234"]})
_LOOK = json.dumps(
    {"version": 1, "guests": {" ".join(GUEST.key): {"metadata": {"timeout": "5min"}, "day": "2026-11-26"}}}
)
_NOTICE = json.dumps({"reason": "power", "ends": 1e9, "until": 1e9, "boot": BOOT})
_POWER = json.dumps(
    {"boot": BOOT, "supplies": {"": {"word": "line", "since": 7.5}, "ups@localhost": {"word": "low", "since": 1}}}
)
_OUTAGE = json.dumps(
    {"word": "battery", "since": 10.5, "at": 70, "charge": 80.5, "runtime": 725, "shed": ["web-1"], "next": ["db"],
     "next_at": 99.5, "returns_at": None, "sheds": True, "boot": BOOT}
)  # fmt: skip
_DUE_NEXT = json.dumps({"coming": [{"guests": ["db"], "seconds": 12.5}, {"guests": ["web"], "seconds": None}]})
_REQUEST = json.dumps(
    {"reason": "power", "ends": 1e9, "announced": False, "by": PID, "to": PID, "accepted": True, "message": "it stops",
     "run": "r", "connections": ["qemu:///system"]}
)  # fmt: skip
_MESSAGE = json.dumps({"title": "t", "body": "b", "written": 1.7e9, "kind": "info", "boot": BOOT, "why": "no answer"})
_TOLD_BEFORE = json.dumps(
    {"text": "The shutdown did not come to its end.", "told": [["qemu:///system", "1", "started"]]}
)
_LAST_GOOD = [json.dumps({"version": 1, "files": {"/etc/lastcall/config.yaml": text}}) for text in PAGES]
_AGENT = "\n".join(
    json.dumps({"return": answer})
    for answer in (
        {"supported_commands": [{"name": name, "enabled": True} for name in ("guest-exec", "guest-exec-status")]},
        {"pid": 7},
        {"exited": True, "exitcode": 0, "signal": 9, "out-data": "aGVsbG8K", "err-data": "/w==", "out-truncated": True},
        {"id": "debian", "name": "Debian", "pretty-name": "Debian 12"},
        [{"name": "eth0", "ip-addresses": [{"ip-address-type": "ipv4", "ip-address": "192.0.2.7", "prefix": 24}]}],
        7,
        {"count": 30, "buf-b64": "c3NoLWVkMjU1MTkgQUFBQSBkYgo=", "eof": True},
    )
)
_FRAMES = [
    f"{said}\n{NONCE} {end}\n{NEXT.decode()}{out}"
    for said, out in (("", "done\n"), ("warning: é", ""), ("", "x" * 1100))
    for end in ("exit 0", "exit 143", "timeout", "refused there is no user", "held\n\n" + NONCE + " exit 0")
]
_JOBS = "12 poweroff.target start waiting\n13 shutdown.target start waiting\n14 lastcall.service stop running\n"
_KEYS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== root@db\necdsa-sha2-nistp256 AAAA db\nssh-rsa AAAAB3NzaC1yc2E= db\n"
_DUMP = """\
before_rdb_changes_since_last_save=3
before_rdb_last_save_time=1
said=OK
after_aof_enabled=0
after_rdb_changes_since_last_save=0
after_rdb_last_save_time=2
file=/var/lib/redis/dump.rdb
bytes=92
"""
_PROCESSES = """\
process=postgres -D /var
process=mariadbd --socket=/run/m.sock
process=redis-server 127.0.0.1:6379
socket=/run/postgresql/.s.PGSQL.5432
"""
_OWN_PROCESSES = """\
user=postgres 104
user=redis 105
process=104 postgres -D /var
process=105 redis-server 127.0.0.1:6379
socket=104 /run/postgresql/.s.PGSQL.5432
"""
_DATABASES = {
    "postgresql": [
        "before=79500000\nafter=176\nproven=true\nstandby=false\ndata=/var/lib/postgresql/15/main\n",
        "began=0/16B3748\nbefore=0/15A1230\nended=0/16B3800\nafter=0/16B3750\nstandby=false\ndata=/var/lib/p\n",
    ],
    "mariadb": ["before_lsn_current=47000\nafter_lsn_last_checkpoint=47016\nbefore_buffer_pool_pages_dirty=7\n"],
    "mysql": [
        "pct=90.000000\nlwm=10.000000\n",
        "before_buffer_pool_pages_dirty=7\nafter_buffer_pool_pages_dirty=0\nrestored=true\n",
    ],
    "redis": [_DUMP],
    "valkey": ["before_rdb_changes_since_last_save=3\nsaid=OK\nafter_aof_enabled=1\n"],
    "sqlite": ["root\0004120\0/srv/app.db\0", "0|0|0\nwal 0\n"],
    "custom": ["42\n", "ok\n"],
    "auto": [_PROCESSES, _OWN_PROCESSES],
}
_XML_PIECES = (
    "<", "</", ">", "/>", "<!--", "&lt;", "&#0;", "<![CDATA[", "]]>", "<?x?>", "<lastcall:timeout>", "<memory>",
    "<!DOCTYPE a [<!ENTITY a 'b'>]>", "&a;",
)  # fmt: skip
_FIGURES = (
    "=",
    "process=",
    "socket=/",
    "before",
    "after",
    "\0",
    NEXT.decode(),
    NEXT.decode() + "!",
    "said=",
    "inactive\n",
)


def _database(kind: str) -> Reader:
    parts = _DATABASES[kind]
    more = NEXT.decode().join((*parts, "inactive\n", "Database cluster state: shut down\n", "ok\n"))
    return Reader(
        f"answers of {kind}", texts([*parts, NEXT.decode().join(parts), more], _FIGURES),
        partial(guests.read_database, kind), guests.are_figures, raises=(LastcallError,), share=16,
    )  # fmt: skip


READERS: tuple[Reader, ...] = (
    Reader(
        "configuration",
        texts(PAGES, YAML_PIECES),
        configurations.read_configuration,
        configurations.is_valid_or_wrong_somewhere,
        share=48,
    ),
    Reader(
        "configuration by hand",
        texts(PAGES, YAML_PIECES),
        configurations.read_named_file,
        configurations.is_loaded,
        raises=(ConfigInvalid,),
        share=1,
    ),
    Reader(
        "configuration in a host stop",
        texts(PAGES, YAML_PIECES),
        configurations.read_in_a_host_stop,
        configurations.is_loaded,
        share=1,
    ),
    # What it ends in becomes the defaults.
    Reader(
        "last good configuration",
        documents(_LAST_GOOD),
        configurations.read_last_good,
        configurations.is_a_document,
        raises=(ValueError, KeyError, TypeError, AttributeError, OSError),
        share=32,
    ),
    Reader(
        "metadata",
        texts(METADATA, YAML_PIECES),
        configurations.read_guest_metadata,
        configurations.costs_nothing_but_its_key,
        share=56,
    ),
    # libvirt has written it: what is no XML costs that guest its look.
    Reader(
        "domain XML",
        texts(DOMAIN_XML, _XML_PIECES),
        guests.read_domain_xml,
        guests.has_facts,
        raises=(ET.ParseError, ValueError),
        share=24,
    ),
    # Its memory may be no number.
    Reader(
        "what stands in a domain's XML",
        elements(
            DOMAIN_XML, ("[storage]", "{nam: x}", "5min", "&a [*a]", "restart", "KiB", "pci", "{}", "- x", *METADATA)
        ),
        guests.read_domain_xml,
        guests.has_facts,
        raises=(ValueError,),
        share=32,
    ),
    Reader(
        "libvirt-guests' settings",
        texts(LIBVIRT_GUESTS, ("=", "'", '"', "\\\n", "$(id)", "`", "#", ";", "URIS=", "\n")),
        configurations.read_libvirt_guests,
        configurations.is_what_we_understand,
        share=10,
    ),
    Reader(
        "libvirt-guests' script",
        texts([SCRIPT], ("=", "'", '"', "\\", "$(id)", "\nURIS=", "\nON_BOOT=")),
        configurations.read_libvirt_guests_script,
        configurations.has_every_setting,
        share=8,
    ),
    Reader(
        "libvirt-guests' list",
        texts([f"qemu:///system {GUEST.uuid} x\ndefault {GUEST.uuid}\n"], (" ", "\n", "default ")),
        kept_files.read_libvirt_guests_list,
        kept_files.is_a_list_of_guests,
        share=20,
    ),
    Reader(
        "header of a drop-in",
        texts(
            ["#!/bin/sh\n# lastcall: reasons=host,manual rehearse\necho\n", "#!/bin/sh\n// lastcall: rehearse\r\n"],
            ("# lastcall: ", "reasons=", "rehearse", ",", "host", " ", "\n", "\r", "=", "\0", ":", "last-call "),
        ),
        configurations.read_dropin,
        configurations.is_never_kept_from_a_host_stop_by_a_mistake,
        share=40,
    ),
    Reader(
        "durations",
        texts(["90s", "4min", "1h30m", "500ms", "7", "1.5d", "none"], ("s", "min", "ms", "h", "d", ".", " ")),
        configurations.read_duration,
        configurations.is_a_time,
        raises=(ValueError,),
        share=60,
    ),
    Reader(
        "sizes",
        texts(["64MiB", "500kB", "7", "1 GiB"], ("B", "KiB", "k", ".", " ")),
        configurations.read_size,
        configurations.is_a_size,
        raises=(ValueError,),
        share=20,
    ),
    Reader(
        "list of guests",
        documents([_STATE], [f'"{BOOT}"', '"host"', '"hand"', '"running"', "2"]),
        kept_files.read_state,
        kept_files.is_a_list_of_guests,
        raises=(StateInvalid,),
    ),
    Reader("history", documents([_HISTORY]), kept_files.read_history, kept_files.has_usual_times),
    Reader(
        "announcement",
        documents([_NOTICE], [f'"{BOOT}"', '"reboot"']),
        kept_files.read_announcement,
        kept_files.is_an_announcement_or_none,
    ),
    Reader(
        "held lock",
        documents([_HELD_LOCK], [f'"{BOOT}"', '"0001-01-01T00:00:00+00:00"']),
        fleet.read_held_lock,
        fleet.is_a_lock_or_none,
        raises=(LastcallError,),
        share=20,
    ),
    Reader(
        "maintenance",
        documents([_MAINTENANCE], [f'"{BOOT}"', '"9999-12-31T23:59:59-12:00"']),
        fleet.read_maintenance,
        fleet.is_maintenance,
        share=20,
    ),
    Reader(
        "error of a lock server",
        documents(['{"kind": "failed_lock_semaphore_full", "value": "semaphore currently full"}'], ['"x"']),
        fleet.read_server_error,
        fleet.is_short,
        share=20,
    ),
    Reader("words about the power", documents([_POWER], [f'"{BOOT}"', '"battery"']), power.read_words, power.are_words),
    Reader(
        "outage",
        documents([_OUTAGE], [f'"{BOOT}"', '"line"', "1e300"]),
        power.read_outage,
        power.can_be_told_of,
    ),
    Reader(
        "what is due next",
        documents([_DUE_NEXT], ["null", "-1"]),
        power.read_due_next,
        power.is_to_come,
        share=16,
    ),
    Reader(
        "line of the power socket",
        texts(
            ["battery ups@localhost\n", "line\n", "low ups@[::1]:3493\n"], ("\n", " ", "line", "low", "@", "\0", "\r")
        ),
        power.read_line,
        power.is_the_same_line,
        raises=(ValueError,),
        share=40,
    ),
    Reader(
        "boot stamp",
        texts([BOOT, f"{BOOT} 1000000000.000\n"], (BOOT, " ", ".", "e9", "-")),
        kept_files.read_stamp,
        kept_files.is_on_or_off,
        share=20,
    ),
    Reader("seen runs", documents([_SEEN]), kept_files.read_seen, kept_files.is_seen_by_somebody_or_nobody, share=20),
    Reader("last look", documents([_LOOK]), kept_files.read_last_look, kept_files.has_texts_of_metadata, share=20),
    Reader(
        "mailbox",
        documents([_REQUEST], [str(PID), '"reboot"']),
        kept_files.read_mailbox,
        kept_files.is_a_request_and_an_answer,
    ),
    Reader(
        "asked by virsh",
        texts([f"qemu:///system {GUEST.uuid} db\nlxc:///system {GUEST.uuid}\n"], (" ", "\n", "-")),
        kept_files.read_asked_by_virsh,
        kept_files.is_a_list_of_guests,
        share=20,
    ),
    Reader(
        "run log and report",
        documents(LOG, [f'["{GUEST.uri}", "{GUEST.uuid}"]', '"stopped"', '{"before": {}, "after": 7}']),
        kept_files.read_run_log,
        kept_files.can_be_told,
        share=56,
    ),
    Reader(
        "messages that wait",
        documents([_MESSAGE], ["1700000000.5", '"failure"', '"x"']),
        kept_files.read_unsent,
        kept_files.are_messages,
        share=20,
    ),
    Reader(
        "what people were told before",
        documents([_TOLD_BEFORE, '["db: no agent answers", "web: 3 of 4"]']),
        kept_files.read_told_before,
        kept_files.are_texts,
        share=20,
    ),
    Reader(
        "job queue",
        texts([_JOBS], (" ", "start", "poweroff.target", "\n")),
        kept_files.read_jobs,
        kept_files.is_a_reason_or_none,
        share=20,
    ),
    Reader(
        "output of a command in a guest",
        texts(_FRAMES, (NONCE, f"\n{NONCE} ", "exit ", "refused ", "\n", NEXT.decode())),
        guests.read_frame,
        guests.is_a_result,
        raises=(ShellError,),
        share=48,
    ),
    Reader(
        "answers of an agent",
        documents([_AGENT], ['"/w=="', '"guest-exec"', '"::1"', '{"exited": true}']),
        guests.read_agent,
        guests.can_be_written_down,
        share=48,
    ),
    Reader(
        "host keys",
        texts([_KEYS], ("ssh-", " ", "=", "AAAA", "\n")),
        guests.read_host_keys,
        guests.have_fingerprints,
        share=20,
    ),
    Reader(
        "greeting of an SSH server",
        texts([GREETING, GREETING + GREETING], ("\0\0\0", "SSH-2.0-", "\r\n", "\x14", "\x01")),
        guests.read_ssh_greeting,
        guests.is_nothing,
        raises=(ShellError,),
        share=1,
    ),
    Reader(
        "output of a program",
        texts(["one\ntwo\n", "no end", "x" * 5000 + "\n"], ("\n", "\x1b[2J", "line\n")),
        guests.read_program,
        guests.are_lines,
        share=8,
    ),
    *map(_database, [*ENGINES, "auto"]),
)
"""`raises` stands where more than the value may come of it; what is not named here is a fault."""
BY_NAME = {reader.name: reader for reader in READERS}

"""`plugins.power`: what is written, and what UPSes answer by NUT's protocol, whatever that is."""

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lab.fake_upsd import Answers, fake_upsd
from lastcall import PowerPolicy, PowerWord, Supply
from lastcall_plugins.power.address import parse_address
from lastcall_plugins.power.settings import PowerSettings
from lastcall_plugins.power.supplies import ask_supplies, word_of_status
from support import run_lastcall


def said(**values: str) -> dict[str, bytes]:
    names = {"status": "ups.status", "charge": "battery.charge", "runtime": "battery.runtime"}
    return {names[key]: f'VAR rack {names[key]} "{value}"\n'.encode() for key, value in values.items()}


def ask(answers: Answers, seconds: float = 3) -> Supply:
    with fake_upsd(answers) as address:
        (found,) = ask_supplies([address], seconds)
    assert found.name == address.text
    return found


def test_a_ups_tells_its_status_its_charge_and_its_runtime() -> None:
    found = ask(said(status="OB DISCHRG", charge="71.5", runtime="840"))
    assert (found.word, found.charge, found.runtime, found.problem) == (PowerWord.BATTERY, 71.5, 840.0, "")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("OL", PowerWord.LINE), ("OL CHRG", PowerWord.LINE), ("OL CHRG LB", PowerWord.LINE), ("OL RB", PowerWord.LINE),
        ("ALARM OL BOOST", PowerWord.LINE), ("OL BYPASS", PowerWord.LINE), ("OB", PowerWord.BATTERY),
        ("OB DISCHRG", PowerWord.BATTERY), ("OB LB", PowerWord.LOW), ("LB OB RB", PowerWord.LOW),
        ("FSD OB LB", PowerWord.LOW), ("FSD OL", PowerWord.LOW), ("OL CAL DISCHRG", PowerWord.LINE),
        ("CAL OB LB", PowerWord.LINE), ("", None), ("WAIT", None), ("LB", None), ("RB", None), ("OFF", None),
        ("CHRG", None), ("OLB", None), ("ol", None), ("\x1b[2J", None),
    ],
)  # fmt: skip
def test_the_words_of_a_status_come_to_one_of_ours_or_to_none(status: str, word: PowerWord | None) -> None:
    assert word_of_status(status) is word


@given(st.lists(st.sampled_from(["OL", "OB", "LB", "HB", "RB", "CHRG", "DISCHRG", "CAL", "FSD", "TEST", "???"])))
def test_the_order_of_the_words_of_a_status_does_not_matter(words: list[str]) -> None:
    assert word_of_status(" ".join(words)) is word_of_status(" ".join(reversed(words)))


def test_what_carries_the_host_is_not_guessed_and_said_to_be_unknown() -> None:
    found = ask(said(status="OFF", charge="100"))
    assert (found.word, found.charge) == (None, 100)
    assert "OFF" in found.problem


@pytest.mark.parametrize("claimed", ["-1", "0", "999999999", "nan", "inf", "1e400", "600.5"])
def test_a_runtime_is_handed_on_as_it_is_claimed(claimed: str) -> None:
    found = ask(said(status="OB", runtime=claimed)).runtime
    assert found is not None
    assert repr(found) == repr(float(claimed))


@pytest.mark.parametrize("value", ["", "12 min", "0x10", "١٢", "1_0", "unknown"])
def test_what_is_no_number_is_not_said(value: str) -> None:
    found = ask(said(status="OB", charge=value, runtime=value))
    assert (found.word, found.charge, found.runtime) == (PowerWord.BATTERY, None, None)


@pytest.mark.parametrize("charge", ["-1", "100.1", "nan", "inf"])
def test_a_charge_that_no_battery_has_is_not_said(charge: str) -> None:
    assert ask(said(status="OB", charge=charge)).charge is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"ERR UNKNOWN-UPS\n", "no UPS of this name"),
        (b"ERR DATA-STALE\n", "heard nothing"),
        (b"ERR DRIVER-NOT-CONNECTED\n", "driver"),
        (b"ERR ACCESS-DENIED\n", "denies"),
        (b"ERR SOMETHING-NEW\n", "SOMETHING-NEW"),
        (b"ERR\n", "says"),
        (b"", "closed"),
        (b"\n", "does not speak"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50, "does not speak"),
        (b'VAR rack battery.charge "OB"\n', "does not speak"),
        (b'VAR rack ups.status OB\n', "does not speak"),
        (b"\x00\xff\xfe" * 300, "closed"),
        (b"\x00\xff\xfe" * 300 + b"\n", "does not speak"),
        (b"\xff\xfe\n", "does not speak"),
        (b"x" * 100_000, "more than 1024 bytes"),
        (b'VAR rack ups.status "' + b"OB " * 100_000, "more than 1024 bytes"),
    ],
)  # fmt: skip
def test_an_answer_of_any_kind_does_no_harm_and_is_told(answer: bytes, words: str) -> None:
    def answers(caller: socket.socket) -> None:
        caller.recv(100)
        caller.sendall(answer)

    found = ask(answers)
    assert (found.word, found.charge, found.runtime) == (None, None, None)
    assert words in found.problem
    assert len(found.problem) < 200


@given(st.binary(max_size=3000))
def test_no_bytes_raise(answer: bytes) -> None:
    def answers(caller: socket.socket) -> None:
        caller.recv(100)
        caller.sendall(answer)

    assert ask(answers, 1).word is None


def test_quotes_and_backslashes_in_a_value_are_read() -> None:
    found = ask({"ups.status": b'VAR rack ups.status "OB \\"x\\" \\\\ LB"\n'})
    assert found.word is PowerWord.LOW


def test_a_server_that_says_nothing_or_a_letter_now_and_then_costs_its_time_and_no_more() -> None:
    def silent(caller: socket.socket) -> None:
        time.sleep(10)

    def slow(caller: socket.socket) -> None:
        for letter in 'VAR rack ups.status "OB"\n' * 100:
            caller.sendall(letter.encode())
            time.sleep(0.1)

    good = said(status="OB LB")
    with fake_upsd(silent) as one, fake_upsd(slow) as two, fake_upsd(good) as three:
        began = time.monotonic()
        found = ask_supplies([one, two, three, one], 0.7)
        took = time.monotonic() - began
    assert took < 1.2
    assert [each.word for each in found] == [None, None, PowerWord.LOW, None]
    assert all("in time" in each.problem for each in found if each.word is None)


def test_nobody_waits_longer_than_three_seconds_however_much_time_there_is() -> None:
    def silent(caller: socket.socket) -> None:
        time.sleep(10)

    with fake_upsd(silent) as address:
        began = time.monotonic()
        ask_supplies([address] * 8, 60)
    assert time.monotonic() - began < 5


def test_a_server_that_is_not_there_is_told_with_its_host() -> None:
    with socket.socket() as nobody:  # bound, and listening to nothing
        nobody.bind(("127.0.0.1", 0))
        (found,) = ask_supplies([parse_address(f"rack@127.0.0.1:{nobody.getsockname()[1]}")], 2)
    assert "127.0.0.1" in found.problem


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("ups", "localhost", 3493), ("ups@nas", "nas", 3493), ("ups@nas:1234", "nas", 1234),
     ("u-p.s_1@[::1]", "::1", 3493), ("ups@[fe80::1%eth0]:99", "fe80::1%eth0", 99),
     ("ups@192.0.2.7", "192.0.2.7", 3493)],
)  # fmt: skip
def test_an_address_is_read_as_nut_writes_it(text: str, host: str, port: int) -> None:
    found = parse_address(text)
    assert (found.text, found.host, found.port) == (text, host, port)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ups@localhost"), ("@host", "ups@localhost"), ("ups@", "no host"), ("my ups@host", "ups@localhost"),
        ("ups@host:", "no port"), ("ups@host:0", "no port"), ("ups@host:65536", "no port"), ("ups@host:nut", "no port"),
        ("ups@host/x", "no port"), ("nut://nas:3493", "did you mean ups@nas?"), ("ups@::1", "did you mean ups@[::1]?"),
        ("ups\nFSD ups@host", "no UPS"), ("ups@ho st", "no port"), ("ups@host:3493x", "did you mean ups@host?"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_told_with_one_that_is(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"UPS|host|port|IPv6") as raised:
        parse_address(text)
    assert words in str(raised.value)


@given(st.text(max_size=40))
def test_no_text_makes_an_address_with_more_than_one_line(text: str) -> None:
    with contextlib.suppress(ValueError):
        found = parse_address(text)
        assert found.name.isascii()
        assert found.name.isprintable()
        assert " " not in found.name


def settings(**given: Any) -> PowerSettings:
    return PowerSettings.model_validate_json(json.dumps(given))


def test_what_is_configured_is_the_policy_and_without_a_section_it_is_the_cores() -> None:
    assert settings().policy == PowerPolicy()
    given = {"on_battery": "nothing", "return_after": "5min", "restore_charge": 40, "supplies": 2, "trust": 0.8}
    assert settings(ups=["a@b", "c@d"], **given, power_returns="reboot").policy == PowerPolicy(
        on_battery="nothing", return_after=300, restore_charge=40, supplies=2, trust=0.8, power_returns="reboot"
    )


@pytest.mark.parametrize(("given", "names"), [({}, ["ups@localhost"]), ({"ups": "rack@nas"}, ["rack@nas"]),
                                              ({"ups": []}, []), ({"ups": ["a@b", "c"]}, ["a@b", "c"])])  # fmt: skip
def test_one_ups_is_written_without_a_list(given: dict[str, Any], names: list[str]) -> None:
    assert [one.text for one in settings(**given).addresses] == names


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"supplies": 2}, "`ups` names 1"), ({"supplies": 3, "ups": ["a@b", "c@d"]}, "`ups` names 2"),
        ({"supplies": 2, "ups": []}, "`ups` names 0"), ({"supplies": 0}, "greater than or equal to 1"),
        ({"supplies": True}, "valid integer"), ({"ups": ["a@b", "a@b"]}, "stands there twice"),
        ({"ups": ["nut://a"]}, "did you mean ups@a?"), ({"ups": 3}, "tuple"),
        ({"trust": 0}, "greater than 0"), ({"trust": 1.01}, "less than or equal to 1"), ({"trust": "half"}, "number"),
        ({"restore_charge": 101}, "less than or equal to 100"), ({"restore_charge": -1}, "greater than or equal to 0"),
        ({"on_battery": "off"}, "'shed' or 'nothing'"), ({"return_after": -1}, "not negative"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_error_which_says_what_can(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**given)
    (error,) = raised.value.errors()
    assert words.lower().replace("valid array", "tuple") in error["msg"].lower().replace("valid array", "tuple")


def test_config_check_names_the_place_of_more_supplies_than_there_are_upses(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("plugins:\n  power:\n    ups: [a@b, c@d]\n    supplies: 3\n")
    done = run_lastcall(config, "config", "check")
    assert done.returncode == 6
    assert f"{config}:4:15: plugins.power.supplies: 3 UPSes are needed, and `ups` names 2" in done.stderr + done.stdout

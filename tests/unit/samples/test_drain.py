"""The sample that drains a load balancer by HTTP: told before and after, whatever it answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab.sshd import free_port
from lastcall import HookRecord, Outcome, Reason, Verdict
from lastcall.testing import Lab
from samples import example, record, stage

SAMPLE = "20-drain.py"
DRAIN, READY = {"admin_state": "drain"}, {"admin_state": "ready"}


class Balancer:
    """A load balancer's API on loopback: servers' states at their URLs."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {"/one": READY, "/two": READY}
        self.heard: list[tuple[str, str, Any]] = []
        self.logins: set[str | None] = set()
        self.broken = False
        balancer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                balancer.answer(self, None)

            def do_PUT(self) -> None:
                balancer.answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base calls it
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, body: Any) -> None:
        self.heard.append((request.command, request.path, body))
        self.logins.add(request.headers["Authorization"])
        if body and not self.broken:
            self.states[request.path] = body
        text = json.dumps({"name": "host-1", **self.states[request.path]}).encode()
        request.send_response(500 if self.broken else 200)
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    @property
    def told(self) -> list[tuple[str, Any]]:
        """What was changed, or was to be."""
        return [(path, body) for method, path, body in self.heard if method != "GET"]


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    made = Balancer()
    threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def lab_of(folder: Path, *urls: str, **more: Any) -> Lab:
    lab = stage(folder, SAMPLE, config={"plugins": {"drain": {"urls": list(urls), **more}}})
    lab.guest("db-1")
    return lab


def back(lab: Lab, reason: Reason = Reason.BOOT, *, rehearsal: bool = False) -> HookRecord:
    """What happens when the guests are back."""
    (found,) = lab.fire("post_restore", reason=reason, rehearsal=rehearsal)
    return found


def test_the_host_is_drained_before_its_guests_stop_and_ready_when_they_are_back(
    tmp_path: Path, balancer: Balancer
) -> None:
    secret = tmp_path / "password"
    secret.write_text("sesame\n")
    secret.chmod(0o600)
    shown = example(SAMPLE)["plugins"]["drain"]  # as it stands there, but for what is elsewhere here
    lab = lab_of(tmp_path, **{**shown, "urls": [f"{balancer.url}/one"], "password": str(secret)})
    report = lab.shutdown(reason=Reason.REBOOT)
    assert record(report, SAMPLE).result is Verdict.OK
    assert balancer.states["/one"] == DRAIN
    assert (report.guest("db-1").asked or 0) >= 10.0, "what is under way ends first"
    assert back(lab).result is Verdict.OK
    assert balancer.told == [("/one", DRAIN), ("/one", READY)]
    assert balancer.logins == {"Basic YWRtaW46c2VzYW1l"}
    assert back(lab).result is Verdict.SKIPPED, "once"


def test_on_battery_nobody_waits(tmp_path: Path, balancer: Balancer) -> None:
    report = lab_of(tmp_path, f"{balancer.url}/one").shutdown(reason=Reason.POWER)
    assert balancer.states["/one"] == DRAIN
    assert (report.guest("db-1").asked or 0) < 1.0


def test_what_somebody_else_has_drained_stays_so(tmp_path: Path, balancer: Balancer) -> None:
    balancer.states["/two"] = DRAIN
    lab = lab_of(tmp_path, f"{balancer.url}/one", f"{balancer.url}/two")
    lab.shutdown(reason=Reason.REBOOT)
    assert f"{balancer.url}/two is drained by somebody else, and stays so" in lab.lines
    back(lab)
    assert balancer.states == {"/one": READY, "/two": DRAIN}


def test_what_an_earlier_stop_has_drained_is_put_right(tmp_path: Path, balancer: Balancer) -> None:
    lab = lab_of(tmp_path, f"{balancer.url}/one")
    lab.shutdown(reason=Reason.REBOOT)
    lab.shutdown(reason=Reason.REBOOT)  # without a restore in between
    assert not [line for line in lab.lines if "somebody else" in line]
    assert back(lab).result is Verdict.OK
    assert balancer.states["/one"] == READY


def test_one_that_fails_keeps_neither_the_others_nor_the_guests_waiting(tmp_path: Path, balancer: Balancer) -> None:
    gone = f"http://127.0.0.1:{free_port()}/one"
    lab = lab_of(tmp_path, gone, f"{balancer.url}/two")
    report = lab.shutdown(reason=Reason.REBOOT)
    assert record(report, SAMPLE).result is Verdict.FAILED
    assert record(report, SAMPLE).message.startswith(f"{gone}: ")
    assert not record(report, SAMPLE).traceback
    assert (balancer.states["/two"], report.guest("db-1").outcome) == (DRAIN, Outcome.STOPPED)


def test_what_could_not_be_put_right_at_boot_is_by_a_restore_by_hand(tmp_path: Path, balancer: Balancer) -> None:
    lab = lab_of(tmp_path, f"{balancer.url}/one", f"{balancer.url}/two")
    lab.shutdown(reason=Reason.REBOOT)
    balancer.broken = True
    assert "HTTP Error 500" in back(lab).message
    balancer.broken = False
    assert record(lab.restore(), SAMPLE).result is Verdict.OK
    assert balancer.states == {"/one": READY, "/two": READY}


def test_by_hand_in_a_rehearsal_and_unset_nothing_is_sent(tmp_path: Path, balancer: Balancer) -> None:
    lab = lab_of(tmp_path, f"{balancer.url}/one")
    (rehearsed,) = lab.fire("pre_shutdown", reason=Reason.REBOOT)
    assert (rehearsed.result, len(lab.lines)) == (Verdict.OK, 1)
    assert lab.lines[0] == f'would PUT {{"admin_state": "drain"}} to {balancer.url}/one'
    assert record(lab.shutdown(), SAMPLE).message == "this host goes on"
    assert not balancer.heard
    lab.restore()
    lab.shutdown(reason=Reason.REBOOT)
    before = list(balancer.told)
    assert back(lab, rehearsal=True).result is Verdict.OK
    assert lab.lines == [f'would PUT {{"admin_state": "ready"}} to {balancer.url}/one']
    assert balancer.told == before
    (tmp_path / "unset").mkdir()
    lab = lab_of(tmp_path / "unset")
    assert record(lab.shutdown(reason=Reason.REBOOT), SAMPLE).message == "plugins.drain.urls is not set"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://lb/x", "lb:5555"])
def test_no_other_url_is_taken(tmp_path: Path, url: str) -> None:
    with pytest.raises(Exception, match="urls"):
        lab_of(tmp_path, url).shutdown()

"""What a lock server says, and what passes for one: real sockets, and a server that keeps to the protocol."""

import datetime
import ipaddress
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.fleetlock import Locks, over_tcp, saying
from lastcall.runs.fleet.lock_server import LockRefused, LockServer, LockUnanswered


def server(port: int, *, scheme: str = "http", timeout: float = 5.0, ca: Path | None = None) -> LockServer:
    return LockServer(url=f"{scheme}://127.0.0.1:{port}/base", group="workers", timeout=timeout, ca=ca)


def test_one_host_of_a_group_holds_the_lock_and_the_next_has_it_once_it_is_given_back() -> None:
    locks = Locks()
    with over_tcp(locks) as port:
        server(port).take("a")
        server(port).take("a")  # recursive
        with pytest.raises(LockRefused, match=r"all slots are taken, by a \(failed_lock_semaphore_full\) \(HTTP 409\)"):
            server(port).take("b")
        server(port).give_back("b")  # what is not held does no harm
        assert locks.holders == {"workers": {"a"}}
        server(port).give_back("a")
        server(port).take("b")
    assert locks.holders == {"workers": {"b"}}
    assert {endpoint for _, endpoint, _, _ in locks.asked} == {"/base/v1/pre-reboot", "/base/v1/steady-state"}


NO = b'{"kind": "full", "value": "nobody else now"}'


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/v1/pre-reboot\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s" % (len(NO), NO),
    b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n<p>no</p>",
    b'HTTP/1.1 409 No\r\n\r\n{"kind": "full", "value": ""}',
    b'HTTP/1.1 409 No\r\n\r\n{"kind": 1, "value": "full"}',
    b"HTTP/1.1 409 No\r\n\r\n" + b"[" * 100_000,
    b'HTTP/1.1 409 No\r\n\r\n{"kind": "full", "value": "' + b"x" * 10_000_000 + b'"}',
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 100_000 + b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 10,
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\xff\x00",
    b"",
])  # fmt: skip
def test_whatever_is_neither_the_lock_nor_a_no_in_the_form_of_the_protocol_is_no_answer(answer: bytes) -> None:
    with saying(answer) as port, pytest.raises(LockUnanswered) as caught:
        server(port).take("a")
    assert caught.value.asked, "it may be held"
    assert len(str(caught.value)) < 1000


def test_what_a_server_says_is_quoted_in_bounds_and_without_control_characters() -> None:
    said = b'{"kind": "full", "value": "\\u001b[2J' + b"x" * 5000 + b'"}'
    with saying(b"HTTP/1.1 423 Locked\r\n\r\n" + said) as port, pytest.raises(LockRefused) as caught:
        server(port).take("a")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_server_that_says_a_letter_now_and_then_is_listened_to_for_the_timeout_alone() -> None:
    began = time.monotonic()
    with (
        saying(b"HTTP/1.1 200 OK\r\n" * 100, slowly=0.1) as port,
        pytest.raises(LockUnanswered, match=r"within 0\.5 s"),
    ):
        server(port, timeout=0.5).take("a")
    assert time.monotonic() - began < 2


def test_where_nobody_listens_the_question_was_not_asked() -> None:
    with saying(b"") as port:
        pass
    with pytest.raises(LockUnanswered, match="refused") as caught:
        server(port).take("a")
    assert not caught.value.asked


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody has signed, and what serves it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "locks")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


def test_by_tls_a_server_is_believed_whose_certificate_is_trusted_and_nobody_else(tmp_path: Path) -> None:
    public, context = certificate(tmp_path)
    locks = Locks()
    with over_tcp(locks, context) as port:
        with pytest.raises(LockUnanswered, match="CERTIFICATE_VERIFY_FAILED") as caught:
            server(port, scheme="https").take("a")
        assert not caught.value.asked
        with pytest.raises(LockUnanswered):
            LockServer(url=f"https://localhost:{port}", group="g", timeout=5.0, ca=public).reach()  # another name
        server(port, scheme="https", ca=public).reach()
        assert locks.asked == [], "to be reached is no question"
        server(port, scheme="https", ca=public).take("a")
    assert locks.holders == {"workers": {"a"}}

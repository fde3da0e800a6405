"""Messages of a real host that is powered off and boots again, with a server that is up only after a while."""

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from host.test_poweroff import configure
from lab.host import Host

# What Apprise consists of; the host's Python has none.
PACKAGES = ("apprise", "certifi", "charset-normalizer", "idna", "Markdown", "oauthlib", "requests", "requests-oauthlib",
            "urllib3")  # fmt: skip
SERVER = """\
import http.server, json, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with pathlib.Path("/var/told").open("a") as file:
            print(json.dumps([told["title"], told["message"]]), file=file)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
"""
UNIT = """\
[Service]
ExecStartPre=/bin/sleep 25
ExecStart=/opt/lastcall/bin/python3 /opt/told.py
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def with_apprise(installed: Host, tmp_path: Path) -> Host:
    """The host with Apprise, as a pip of its own would have brought it."""
    for package in PACKAGES:
        for file in metadata.files(package) or ():
            source, target = Path(str(file.locate())), tmp_path / file
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    shutil.copytree(tmp_path, installed.folder / "saved" / "packages")
    installed.run("cp -r /saved/packages/. /opt/lastcall/lib/python3.*/site-packages/")
    return installed


def told(host: Host) -> list[list[str]]:
    """Title and text of what its server has taken."""
    return [json.loads(line) for line in host.run("cat /var/told || :").splitlines()]


def test_what_a_host_stop_could_not_send_is_sent_in_the_boot_after_it_as_soon_as_the_server_is_up(
    with_apprise: Host,
) -> None:
    host = with_apprise
    configure(host, "plugins: {notify: {urls: /etc/lastcall/urls}}\n")
    host.run("cat > /opt/told.py", given=SERVER)
    host.run("cat > /etc/systemd/system/told.service", given=UNIT)
    host.run("umask 077; echo json://127.0.0.1:8099/t0ken >/etc/lastcall/urls")
    host.run("systemctl -q enable told")  # it is up only after the next boot
    assert host.tries("lastcall notify test --within 5").returncode == 1
    host.guests(one="slow=1")
    host.stop()
    assert host.cut_off("one") == {}
    host.boot()
    host.wait_until(lambda: len(told(host)) == 2, "both messages have arrived")
    (stopping, stopping_text), (restored, restored_text) = told(host)
    assert stopping.endswith("stopping its guests (1) (sent late)")
    assert "Sent late: this is of " in stopping_text
    assert "is back: 1 started" in restored
    assert "(poweroff) took" in restored_text
    host.wait_until(lambda: not host.run("ls /var/lib/lastcall/plugins/notify/[0-9]* || :"), "none waits any more")
    host.wait_until(lambda: not host.run("systemctl list-units --no-legend 'lastcall-notify*'"), "its unit has ended")
    assert "t0ken" not in host.run("journalctl -o cat; cat /var/lib/lastcall/runs/*")

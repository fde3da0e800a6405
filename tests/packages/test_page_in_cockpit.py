"""The page of contrib/cockpit in a real Cockpit and a real browser, with guests that it really stops."""

import json
import os
import re
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from book.cockpit.picture import words_shown
from book.cockpit.sample_host import program, sample_host
from book.cockpit.served import served
from book.pictures import COCKPIT_WORDS, SAMPLE
from lab.daemon import Daemon
from lab.guests import driver_guests, states
from lab.patience import STILL, wait_until
from lab.processes import alive
from support import run_lastcall, write_config

CHROMIUM = "/usr/bin/chromium"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'<script>"
NAMES = ["db", "web-1", "web-2"]
HERE = "test:///default"
SYSTEM = "/usr/bin:/bin"
AT_ONCE = 3  # commands that the page begins with; once more, where it learns meanwhile that it may do more
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM)
        expect.set_options(timeout=STILL * 1000)
        yield started
        started.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into; those of pytest are root's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Visit:
    """A page that is open, what its console said and whom it asked for something."""

    def __init__(self, browser: Browser, url: str, options: Mapping[str, Any]) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="UTC", **options)
        self.context.set_default_timeout(STILL * 1000)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self.settled()

    def settled(self) -> None:
        """Wait until it shows what is."""
        expect(self.page.locator("main")).to_have_attribute("aria-busy", "false")

    def text(self, part: str) -> str:
        return self.page.locator(f"#{part}").inner_text()

    def guests(self) -> list[str]:
        return self.page.locator("#plan tbody label").all_inner_texts()

    def ended(self) -> str:
        """What is said of a command that the page has started, once it has ended."""
        expect(self.page.locator("#verdict")).to_have_text(re.compile("exit code|not done"))
        self.settled()
        return self.text("verdict")


@contextmanager
def visit(
    browser: Browser, folder: Path, path: Path | None, *, behind: Sequence[str] = (), **options: Any
) -> Generator[Visit]:
    """Look at the page in a session that finds the programs of this folder. `behind`: words of what starts it."""
    session = folder / "session"
    session.mkdir(exist_ok=True)
    if behind == NOBODY:
        os.chown(session, 65534, 65534)
    with served(session, path=f"{path}:{SYSTEM}" if path else SYSTEM, user=behind) as url:
        shown = Visit(browser, url, options)
        try:
            yield shown
        finally:
            shown.context.close()


def host(lab: Daemon, folder: Path, *, more: str = "") -> Path:
    """A host with guests of the lab; returns the folder of its `lastcall`."""
    (folder / "bin").mkdir()
    return program(folder / "bin", write_config(folder, lab.test, more=more))


def stand_in(folder: Path, script: str) -> Path:
    """A program in lastcall's place, for what the real one cannot be made to say; returns its folder."""
    path = folder / "bin/lastcall"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path.parent


def documents(lab: Daemon, folder: Path, changes: Mapping[str, Mapping[str, Any]]) -> Path:
    """A program that prints what lastcall prints for the lab's guests, with these changes; returns its folder."""
    config = write_config(folder, lab.test)
    run_lastcall(config, "shutdown", "web-2")
    lines: list[str] = []
    for name in ("status", "plan", "report"):
        told = json.loads(run_lastcall(config, name, "--json").stdout)
        (folder / f"{name}.json").write_text(json.dumps(told | changes.get(name, {})))
        lines.append(f"[ $1 != {name} ] || cat {folder}/{name}.json")
    return stand_in(folder, "\n".join(lines))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it_and_it_asks_nobody_but_its_cockpit(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    with visit(browser, tmp_path, sample_host(tmp_path / "host", SAMPLE), color_scheme=scheme) as shown:
        shown.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found = Axe().run(shown.page)  # pyright: ignore[reportUnknownMemberType]
        assert found.violations_count == 0, found.generate_report()
        assert shown.said == []
        origin = shown.page.evaluate("location.origin")
        assert [url for url in shown.asked if not url.startswith((origin, origin.replace("http", "ws"), "data:"))] == []
        back = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, back.strip("rgb()").split(","))) < 384) == (scheme == "dark")
        other = {"light": "dark", "dark": "light"}[scheme]
        shown.page.evaluate(f"localStorage.setItem('shell:style', '{other}')")
        shown.page.reload()
        assert shown.page.evaluate("document.documentElement.dataset.theme") == other, "as it is chosen in Cockpit"
        assert not shown.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_it_shows_status_plan_and_the_last_run_as_the_picture_of_the_docs_has_it(
    browser: Browser, tmp_path: Path
) -> None:
    with visit(browser, tmp_path, sample_host(tmp_path / "host", SAMPLE)) as shown:
        told = words_shown(shown.page)
        assert told == COCKPIT_WORDS.read_text().partition("sha256")[0], "`make pictures` takes it anew"
        tracks = shown.page.locator("#plan td.when svg")
        assert tracks.count() == len(shown.guests()) == 12
        words = dict(zip(shown.guests(), [one.get_attribute("aria-label") for one in tracks.all()], strict=True))
        assert "usually from" in str(words["shop"])
        assert str(words["shop"]).endswith("acpi, 45s; acpi, 30s; last resort at 2min45s: destroy")


def test_the_whole_report_opens_in_a_tab_of_its_own_with_its_style_and_its_script(
    browser: Browser, tmp_path: Path
) -> None:
    with visit(browser, tmp_path, sample_host(tmp_path / "host", SAMPLE)) as shown:
        with shown.context.expect_page() as opened:
            shown.page.get_by_role("link", name="The whole report").click()
        report = opened.value
        expect(report).to_have_title(re.compile("^Shutdown of vmhost-1"))
        expect(report.get_by_label("Find").first).to_be_visible()  # which its script shows
        assert report.evaluate("getComputedStyle(document.querySelector('.verdict')).fontWeight") == "600"
        assert report.evaluate("opener") is None


def test_chosen_guests_are_stopped_by_keyboard_alone_and_the_page_tells_how_it_went(
    browser: Browser, lab: Daemon, tmp_path: Path
) -> None:
    programs = host(lab, tmp_path, more="guests: [{match: 'web-*', depends_on: db}]")
    with driver_guests(lab, NAMES) as connection, visit(browser, tmp_path, programs) as shown:
        page, keyboard = shown.page, shown.page.keyboard
        assert (sorted(shown.guests()), "No run has been logged" in shown.text("report")) == (NAMES, True)
        assert page.locator("#stop").is_disabled()
        for name in ("web-1", "db"):
            page.get_by_label(name, exact=True).press("Space")
        assert shown.text("chosen") == "2 guests chosen"
        while page.evaluate("document.activeElement.id") != "stop":
            keyboard.press("Tab")
        keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Stop 2 guests?")).to_be_visible()
        assert [one.split(" on ")[0] for one in page.locator("dialog li").all_inner_texts()] == ["db", "web-1"]
        assert "goes on and needs db" in page.locator("dialog").inner_text(), "as lastcall warns of it"
        assert page.evaluate("document.activeElement.id") == "no", "who only presses return stops nobody"
        found = Axe().run(page)  # pyright: ignore[reportUnknownMemberType]
        assert found.violations_count == 0, found.generate_report()
        keyboard.press("Tab")
        keyboard.press("Enter")
        assert shown.ended() == "✓ exit code 0 All went as planned."
        assert states(connection) == {"db": "off", "web-1": "off", "web-2": "running"}
        assert "acpi" in shown.text("said")
        assert shown.guests() == ["web-2"]
        assert {"db", "web-1"} <= set(shown.text("status").split())
        assert "Shutdown of" in shown.text("report")
        found = Axe().run(page)  # pyright: ignore[reportUnknownMemberType]
        assert found.violations_count == 0, found.generate_report()
        assert shown.said == []


@pytest.mark.parametrize("key", ["Escape", "Enter"])
def test_who_does_not_confirm_stops_nobody(browser: Browser, lab: Daemon, tmp_path: Path, key: str) -> None:
    with driver_guests(lab, NAMES) as connection, visit(browser, tmp_path, host(lab, tmp_path)) as shown:
        shown.page.get_by_label("Choose all guests").check()
        shown.page.locator("#stop").click()
        expect(shown.page.locator("dialog")).to_be_visible()
        shown.page.keyboard.press(key)
        expect(shown.page.locator("#stop")).to_be_enabled()
        assert not shown.page.locator("#output").is_visible()
        assert set(states(connection).values()) == {"running"}


def test_a_guest_that_is_called_by_the_uuid_of_another_is_not_stopped_with_it(
    browser: Browser, lab: Daemon, tmp_path: Path
) -> None:
    with driver_guests(lab, ["db"]) as connection:
        uuid = connection.lookupByName("db").UUIDString()
        connection.defineXML(
            f"<domain type='test'><name>{uuid}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        ).create()
        with visit(browser, tmp_path, host(lab, tmp_path)) as shown:
            shown.page.get_by_label("db", exact=True).check()
            shown.page.locator("#stop").click()
            shown.page.get_by_role("button", name="Stop it").click()
            assert "exit code 0" in shown.ended()
            assert states(connection) == {"db": "off", uuid: "running"}


def test_a_rehearsal_fires_the_hook_and_stops_nobody(browser: Browser, lab: Daemon, tmp_path: Path) -> None:
    programs = host(lab, tmp_path)
    for hook, said in (("pre_shutdown", "everybody hear"), ("on_guest_stop", "goodbye $LASTCALL_GUEST")):
        path = tmp_path / "hooks.d" / hook / "50-say"
        path.parent.mkdir(mode=0o755)
        path.write_text(f'#!/bin/sh\n# lastcall: rehearse\necho "{said}"\n')
        path.chmod(0o755)
    with driver_guests(lab, NAMES) as connection, visit(browser, tmp_path, programs) as shown:
        shown.page.get_by_role("button", name="Rehearse").click()
        assert "exit code 0" in shown.ended()
        assert "everybody hear" in shown.text("said")
        shown.page.get_by_label("web-2", exact=True).check()
        shown.page.locator("#hook").select_option("on_guest_stop")
        shown.page.get_by_role("button", name="Rehearse").click()
        assert "exit code 0" in shown.ended()
        assert "goodbye web-2" in shown.text("said")
        assert "goodbye db" not in shown.text("said")
        (tmp_path / "hooks.d/on_guest_stop/50-say").write_text("#!/bin/sh\n# lastcall: rehearse\nexit 3\n")
        shown.page.get_by_role("button", name="Rehearse").click()
        assert "exit code 1" in shown.ended()
        assert "Not everything went as planned" in shown.text("verdict")
        assert set(states(connection).values()) == {"running"}


def test_a_name_of_markup_is_text_everywhere_and_nothing_of_it_runs(
    browser: Browser, lab: Daemon, tmp_path: Path
) -> None:
    turned = "evil\u202egnp.exe"
    with driver_guests(lab, []) as connection:
        for name in (HOSTILE, turned):
            told = name.replace("&", "&amp;").replace("<", "&lt;")
            connection.defineXML(
                f"<domain type='test'><name>{told}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
            ).create()
        with visit(browser, tmp_path, host(lab, tmp_path)) as shown:
            assert set(shown.guests()) == {HOSTILE, "evil\\u202egnp.exe"}
            shown.page.get_by_label("Choose all guests").check()
            shown.page.locator("#stop").click()
            expect(shown.page.locator("dialog")).to_contain_text(HOSTILE)
            shown.page.get_by_role("button", name="Stop them").click()
            assert "exit code 0" in shown.ended()
            for part in ("said", "status", "report"):
                assert HOSTILE in str(shown.page.locator(f"#{part}").text_content())
            assert turned not in str(shown.page.locator("body").text_content())
            assert (shown.page.title(), shown.said) == ("lastcall", [])


def local(programs: Path) -> tuple[str, ...]:
    """A command that runs the rest of it where these are the programs of /usr/local/bin."""
    return ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/local/bin && exec "$@"', str(programs))


def test_without_lastcall_it_says_what_is_missing(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with visit(browser, tmp_path, None, behind=local(tmp_path / "empty")) as shown:
        for part in ("status", "plan", "report"):
            assert "There is no program `lastcall`" in shown.text(part)
        assert not shown.page.locator("#acts").is_visible()
        assert shown.said == []


def test_one_in_usr_local_is_found_though_the_session_does_not_look_there(browser: Browser, tmp_path: Path) -> None:
    programs = sample_host(tmp_path / "host", SAMPLE)
    with visit(browser, tmp_path, None, behind=local(programs)) as shown:
        assert len(shown.guests()) == 12
        assert "on duty" in shown.text("status")
        assert "Shutdown of" in shown.text("report")
        with shown.context.expect_page() as opened:
            shown.page.get_by_role("link", name="The whole report").click()
        expect(opened.value).to_have_title(re.compile("^Shutdown of vmhost-1"))


def test_an_invalid_configuration_is_told_with_every_error(browser: Browser, lab: Daemon, tmp_path: Path) -> None:
    programs = host(lab, tmp_path, more="shutdown: {deadlin: 5min, parallel: many}")
    with visit(browser, tmp_path, programs) as shown:
        told = shown.text("plan")
        assert "The configuration is invalid." in told
        assert f"{tmp_path}/config.yaml:3:" in told
        assert "deadlin" in told
        assert "parallel" in told


def test_who_is_not_root_is_told_so_and_cannot_start_anything(browser: Browser, lab: Daemon, open_folder: Path) -> None:
    with driver_guests(lab, NAMES):
        programs = documents(lab, open_folder, {})
        with visit(browser, open_folder, programs, behind=NOBODY) as shown:
            shown.page.locator("#hook").evaluate("one => one.add(new Option('pre_shutdown'))")
            shown.page.get_by_label("db", exact=True).check()
            shown.page.locator("#rehearse").evaluate("one => { one.disabled = false; }")
            shown.page.get_by_role("button", name="Rehearse").click()
            assert shown.ended() == "✗ not done This needs administrative access: turn it on at the top of Cockpit."
    (programs / "lastcall").write_text('#!/bin/sh\necho "lastcall: /var/lib/lastcall: no permission" >&2; exit 4\n')
    with visit(browser, open_folder, programs, behind=NOBODY) as shown:
        assert "There is no permission for that" in shown.text("status")
        assert "lastcall: /var/lib/lastcall: no permission" in shown.text("status")
        assert "administrative access" in shown.text("status")


def test_what_a_newer_lastcall_says_besides_is_no_obstacle(browser: Browser, lab: Daemon, tmp_path: Path) -> None:
    with driver_guests(lab, NAMES):
        changes: dict[str, dict[str, Any]] = {
            "status": {"why": "the unit was started at boot", "moon": {"phase": [1]}, "on_duty": True},
            "plan": {"timeline": [{"deep": {}}], "critical": None},
            "report": {"weather": "fair"},
        }
        programs = documents(lab, tmp_path, changes)
        with visit(browser, tmp_path, programs) as shown:
            assert "the unit was started at boot" in shown.text("status")
            assert sorted(shown.guests()) == ["db", "web-1"]
            assert "Shutdown of" in shown.text("report")
            assert shown.said == []
            plan = tmp_path / "plan.json"
            plan.write_text(json.dumps(json.loads(plan.read_text()) | {"version": 2}))
            shown.page.get_by_role("button", name="Look again").click()
            expect(shown.page.locator("#plan")).to_contain_text("`plan --json` has version 2, not 1")
            shown.settled()
            assert not shown.page.locator("#acts").is_visible()


def test_nothing_of_it_goes_on_when_it_is_closed(browser: Browser, lab: Daemon, tmp_path: Path) -> None:
    programs = stand_in(tmp_path, f"echo $$ >> {tmp_path}/pids; exec sleep 1000")
    (tmp_path / "session").mkdir()
    with served(tmp_path / "session", path=f"{programs}:{SYSTEM}") as url:
        context = browser.new_context()
        context.new_page().goto(url)
        begun = tmp_path / "pids"

        def all_begun() -> bool:
            context.pages[0].wait_for_timeout(100)  # the browser works only while it is waited for
            return begun.exists() and len(begun.read_text().split()) >= AT_ONCE

        wait_until(all_begun, "the page has begun its commands")
        pids = [int(pid) for pid in begun.read_text().split()]
        context.close()
        assert len(pids) >= AT_ONCE
        wait_until(lambda: not any(map(alive, pids)), "what it had begun has ended")

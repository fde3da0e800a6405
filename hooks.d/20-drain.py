# lastcall: reasons=host,manual
"""Sample drop-in: take this host out of a load balancer while it is down, by HTTP.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others). The values are those of HAProxy's Data Plane
API; any API does that takes a JSON object at a URL for each server:

    plugins:
      drain:
        urls: ["http://lb.example.org:5555/v3/services/haproxy/runtime/backends/web/servers/host-1"]
        user: admin
        password: /etc/lastcall/lb-password
        drain: {admin_state: drain}
        ready: {admin_state: ready}
        wait: 10s

It is for host stops; by hand (the header has that, too) no host goes down, but `lastcall restore` puts right what the
restore at boot could not. Whatever the balancer answers, the guests are stopped. What somebody else has drained stays
so. In a rehearsal it says what it would send.
"""

import base64
import json
import urllib.request
from typing import Annotated, Literal

from pydantic import Field

import lastcall
from lastcall.options import Duration, Options, Secret

Url = Annotated[str, Field(pattern=r"^https?://\S+$")]
Body = dict[str, str | int | bool]


class Settings(Options):
    """The section `plugins.drain`."""

    urls: tuple[Url, ...] = Field(default=(), description="One for each server that stands for this host.")
    method: Literal["PUT", "POST", "PATCH"] = "PUT"
    user: str = Field(default="", description="Whom to log in as (basic authentication).")
    password: Secret | None = Field(default=None, description="A file, or the name of a systemd credential.")
    drain: Body = Field(default={"admin_state": "drain"}, description="What is sent before the guests stop.")
    ready: Body = Field(default={"admin_state": "ready"}, description="What is sent when they are back.")
    timeout: Duration = Field(default=5.0, gt=0, description="For one request.")
    wait: Duration = Field(default=5.0, description="For what is under way to end; not on battery.")


@lastcall.hookimpl
def plugin_options() -> lastcall.PluginOptions:
    """Declare the section."""
    return lastcall.PluginOptions(settings=Settings)


@lastcall.hookimpl
def pre_shutdown(run: lastcall.Run) -> None:
    """Fires before any guest is touched."""
    if run.voluntary:
        raise lastcall.Skip("this host goes on")
    settings = run.options(Settings)
    if not settings.urls:
        raise lastcall.Skip("plugins.drain.urls is not set")
    if run.rehearsal:
        run.log(f"would {settings.method} {json.dumps(settings.drain)} to {', '.join(settings.urls)}")
        return
    ours = _noted(run)
    mine = [url for url in settings.urls if url in ours or not _is_drained(url, settings, run)]
    # Before anything is sent: after a crash in between, nobody would know what to put right.
    _note(run, [*ours, *mine])
    failures = _send(mine, settings.drain, settings, run)
    if len(failures) < len(mine) and run.reason is not lastcall.Reason.POWER:
        run.sleep(min(settings.wait, run.remaining() / 2))
    if failures:
        raise lastcall.HookFailed("; ".join(failures.values()))


@lastcall.hookimpl
def post_restore(run: lastcall.Run) -> None:
    """Fires when the guests are back."""
    settings, ours = run.options(Settings), _noted(run)
    if not ours:
        raise lastcall.Skip("nothing is drained by this host")
    if run.rehearsal:
        run.log(f"would {settings.method} {json.dumps(settings.ready)} to {', '.join(ours)}")
        return
    failures = _send(ours, settings.ready, settings, run)
    _note(run, list(failures))  # for the next restore
    if failures:
        raise lastcall.HookFailed("; ".join(failures.values()))


def _send(urls: list[str], body: Body, settings: Settings, run: lastcall.Run) -> dict[str, str]:
    """Send it to each of them; what went wrong, by URL."""
    failures: dict[str, str] = {}
    for url in urls:
        try:
            _request(settings.method, url, settings, run, json.dumps(body).encode())
            run.log(f"{url}: {json.dumps(body)}")
        except OSError as error:  # URLError and HTTPError are some
            failures[url] = f"{url}: {error}"
            run.log(failures[url])
    return failures


def _is_drained(url: str, settings: Settings, run: lastcall.Run) -> bool:
    """Whether it says so by itself: then somebody else has done it. What cannot be read says nothing."""
    try:
        found = lastcall.from_json(_request("GET", url, settings, run).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return False
    drained = isinstance(found, dict) and settings.drain.items() <= found.items()
    if drained:
        run.log(f"{url} is drained by somebody else, and stays so")
    return drained


def _request(method: str, url: str, settings: Settings, run: lastcall.Run, body: bytes | None = None) -> bytes:
    """The answer. Raises OSError."""
    headers = {"Content-Type": "application/json"}
    if settings.user:
        password = settings.password.read().reveal() if settings.password else ""
        headers["Authorization"] = f"Basic {base64.b64encode(f'{settings.user}:{password}'.encode()).decode()}"
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310  `Url` lets only http pass
    # Some is left for what else the call has to do, and for whoever comes behind a balancer that does not answer.
    timeout = max(0.1, min(settings.timeout, run.remaining() / 4))
    with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310  the same
        return response.read(1 << 16)


def _file(run: lastcall.Run) -> lastcall.TextFile:
    return lastcall.TextFile(run.folder / "drained")


def _noted(run: lastcall.Run) -> list[str]:
    """What this host has drained and not put right yet."""
    return [line for line in (_file(run).read() or "").splitlines() if line.startswith(("http://", "https://"))]


def _note(run: lastcall.Run, urls: list[str]) -> None:
    if urls:
        _file(run).write("\n".join(dict.fromkeys(urls)) + "\n")
    else:
        _file(run).remove()

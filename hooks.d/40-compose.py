"""Sample drop-in: stop the Docker Compose projects of a guest in their own order, and start them when it is back.

Copy it to /etc/lastcall/hooks.d/ (owned by root, not writable by others) and say which guests it is for. They need a
guest shell:

    guests:
      - match: "docker-*"
        shell: [agent, ssh]
        compose: {grace: 30s}

When a guest powers off, Docker stops all its containers at once, and kills them after 10 s. `docker compose stop` heeds
`depends_on` and `stop_grace_period`; but what it has stopped stays down at the next boot, also with `restart:
unless-stopped`. So what ran is noted, and started again when lastcall brings the guest back, or has not got it down. In
a guest that somebody starts by hand, `docker compose start` is by hand, too.

It is for every reason. In a rehearsal it says what it would stop. Give it more time than a minute where projects need
it: `hooks: {plugins: {compose: {timeout: 3min}}}`.
"""

from pydantic import Field

import lastcall
from lastcall.options import Duration, Options

NOT_FOUND = 127  # what a shell says of a command that is not there
RUNNING = [
    "docker", "ps", "--filter", "label=com.docker.compose.project", "--filter", "label=com.docker.compose.oneoff=False",
    "--format", '{{.Label "com.docker.compose.project"}} {{.Label "com.docker.compose.service"}}',
]  # fmt: skip
BACK = {lastcall.Outcome.STARTED, lastcall.Outcome.RESUMED, lastcall.Outcome.PRESENT, lastcall.Outcome.UNREADY}


class ForGuest(Options):
    """The guest key `compose`."""

    grace: Duration | None = Field(
        default=None, ge=1, description="What a container gets before it is killed; else its own stop_grace_period."
    )


@lastcall.hookimpl
def plugin_options() -> lastcall.PluginOptions:
    """Declare the guest key."""
    return lastcall.PluginOptions(guest=ForGuest, only_where_set=True)


@lastcall.hookimpl
def on_guest_stop(guest: lastcall.Guest, run: lastcall.Run) -> None:
    """Fires while the guest still runs."""
    if run.settings(guest).stop[:1] == ("save",):
        raise lastcall.Skip("its memory is saved, and its containers go on with it")
    projects = _running(run.shell(guest))
    if not projects:
        raise lastcall.Skip("no Compose project runs in it")
    if run.rehearsal:
        run.log(f"would stop {', '.join(projects)}")
        return
    _note(guest, run, projects)  # before anything is stopped, and kept when the guest does not come back for long
    grace = run.options(ForGuest, guest).grace
    limit = [] if grace is None else ["--timeout", f"{grace:.0f}"]
    failures: list[str] = []
    for name in projects:
        done = run.shell(guest).run(["docker", "compose", "--project-name", name, "stop", *limit])
        if done.exit_code:
            failures.append(f"{name}: exit code {done.exit_code}: {_last_line(done)}")
    run.evidence(stopped=len(projects) - len(failures))
    if failures:
        raise lastcall.HookFailed("; ".join(failures))


@lastcall.hookimpl
def on_guest_stopped(guest: lastcall.Guest, result: lastcall.GuestResult, run: lastcall.Run) -> None:
    """Fires when the guest is off, or is given up: then it goes on, and so do its projects."""
    if result.outcome is lastcall.Outcome.LEFT and run.voluntary:
        _start_again(guest, run)


@lastcall.hookimpl
def on_guest_started(guest: lastcall.Guest, result: lastcall.GuestResult, run: lastcall.Run) -> None:
    """Fires when the guest is back, or is given up."""
    if result.outcome in BACK:
        _start_again(guest, run)


def _start_again(guest: lastcall.Guest, run: lastcall.Run) -> None:
    projects = _noted(guest, run)
    if not projects:
        raise lastcall.Skip("nothing in it was stopped")
    if run.rehearsal:
        run.log(f"would start {', '.join(projects)}")
        return
    _wait_for_docker(guest, run)
    failures: list[str] = []
    for name, services in projects.items():
        done = run.shell(guest).run(["docker", "compose", "--project-name", name, "start", *services])
        if done.exit_code:
            failures.append(f"{name}: exit code {done.exit_code}: {_last_line(done)}")
    _file(guest, run).remove()  # also what has failed, since Docker has answered: the next stop notes what runs then
    if failures:
        raise lastcall.HookFailed("; ".join(failures))


def _wait_for_docker(guest: lastcall.Guest, run: lastcall.Run) -> None:
    """A guest whose agent answers has not always started Docker yet."""
    while (done := run.shell(guest).run(["docker", "version", "--format", "{{.Server.Version}}"])).exit_code:
        if run.remaining() < 10:
            raise lastcall.HookFailed(f"its projects are down, as Docker does not answer: {_last_line(done)}")
        run.sleep(2)


def _running(shell: lastcall.Shell) -> dict[str, list[str]]:
    """The services that run, by project."""
    done = shell.run(RUNNING)
    if done.exit_code == NOT_FOUND:
        raise lastcall.Skip("there is no Docker in it")
    return _parsed(done.check().stdout)


def _parsed(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, service = line.strip().partition(" ")
        if service and not name.startswith("-") and not service.startswith("-") and service not in found.get(name, ()):
            found.setdefault(name, []).append(service)
    return found


def _last_line(done: lastcall.CommandResult) -> str:
    return ((done.stderr or done.stdout).strip().splitlines() or ["nothing said"])[-1]


def _file(guest: lastcall.Guest, run: lastcall.Run) -> lastcall.TextFile:
    return lastcall.TextFile(run.folder / guest.file_name)


def _noted(guest: lastcall.Guest, run: lastcall.Run) -> dict[str, list[str]]:
    return _parsed(_file(guest, run).read() or "")


def _note(guest: lastcall.Guest, run: lastcall.Run, projects: dict[str, list[str]]) -> None:
    lines = [f"{name} {service}" for name, services in projects.items() for service in services]
    _file(guest, run).write("\n".join(lines) + "\n")

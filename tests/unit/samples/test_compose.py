"""The sample for Docker Compose: projects stop in their own order, and what ran comes back, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from lastcall import HookRecord, Outcome, Reason, Verdict
from lastcall.testing import Lab, LabGuest, Says, ShellCall
from samples import example, record, stage

SAMPLE = "40-compose.py"
STOP, START = "docker compose --project-name {} stop --timeout 30", "docker compose --project-name {} start {}"
ALL = [STOP.format("shop"), STOP.format("wiki"), START.format("shop", "db web"), START.format("wiki", "app")]


class Docker:
    """A guest's Docker: what runs, by project."""

    def __init__(self) -> None:
        self.running = "shop db\nshop web\nshop web\nwiki app\n"
        self.asleep = 0
        self.answers: dict[str, Any] = {
            "docker ps *": self.listed, "docker version *": self.version, "docker compose *": ""
        }  # fmt: skip

    def listed(self, _call: ShellCall) -> str:
        return self.running

    def version(self, _call: ShellCall) -> Says:
        self.asleep -= 1
        return Says(stderr="Cannot connect to the Docker daemon", exit_code=1) if self.asleep >= 0 else Says()


def lab_of(folder: Path, docker: Docker, **settings: Any) -> tuple[Lab, LabGuest]:
    (rule,) = example(SAMPLE)["guests"]
    lab = stage(folder, SAMPLE, config={"guests": [{**rule, "shell": "lab"}]})
    guest = lab.guest("docker-1", settings=settings)
    guest.shell.answers(docker.answers)
    return lab, guest


def composed(guest: LabGuest) -> list[str]:
    return [line for line in guest.shell.calls if "compose --" in line]


def test_every_project_is_stopped_and_what_ran_of_it_is_started_when_the_guest_is_back(tmp_path: Path) -> None:
    docker = Docker()
    lab, guest = lab_of(tmp_path, docker)
    result = lab.shutdown().guest(guest.name)
    assert (record(result, SAMPLE, "on_guest_stop").evidence, result.outcome) == ({"stopped": 2}, Outcome.STOPPED)
    assert composed(guest) == ALL[:2]
    back = lab.restore().guest(guest.name)
    assert record(back, SAMPLE, "on_guest_started").result is Verdict.OK
    assert composed(guest) == ALL
    docker.running = ""
    lab.shutdown()
    assert record(lab.restore().guest(guest.name), SAMPLE).message == "nothing in it was stopped"
    assert composed(guest) == ALL, "once"


def test_it_waits_for_docker_in_a_guest_that_has_just_booted(tmp_path: Path) -> None:
    docker = Docker()
    lab, guest = lab_of(tmp_path, docker)
    lab.shutdown()
    docker.asleep = 5
    assert record(lab.restore().guest(guest.name), SAMPLE).result is Verdict.OK
    assert composed(guest) == ALL


def test_where_docker_does_not_come_up_what_ran_stays_noted_for_the_next_time(tmp_path: Path) -> None:
    docker = Docker()
    lab, guest = lab_of(tmp_path, docker)
    lab.shutdown()
    docker.asleep = 1000
    told = record(lab.restore().guest(guest.name), SAMPLE)
    assert told.result is Verdict.FAILED
    assert "its projects are down, as Docker does not answer: Cannot connect" in told.message
    docker.asleep, docker.running = 0, ""
    lab.shutdown()  # nothing of it runs
    lab.restore()
    assert composed(guest) == ALL


def test_a_guest_that_cannot_be_got_down_has_its_projects_back_at_once(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path, Docker(), stop=[{"acpi": {"timeout": 5}}])
    guest.is_deaf_to("acpi")
    result = lab.shutdown().guest(guest.name)
    assert result.outcome is Outcome.LEFT
    assert record(result, SAMPLE, "on_guest_stopped").result is Verdict.OK
    assert composed(guest) == ALL


def test_what_is_saved_goes_on_by_itself(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path, Docker(), stop=["save"])
    assert record(lab.shutdown().guest(guest.name), SAMPLE, "on_guest_stop").result is Verdict.SKIPPED
    assert not guest.shell.calls


def test_one_project_that_fails_keeps_neither_the_others_nor_the_guest(tmp_path: Path) -> None:
    docker = Docker()
    docker.answers[STOP.format("shop")] = Says(exit_code=1, stderr="no\nis stuck")
    lab, guest = lab_of(tmp_path, docker)
    result = lab.shutdown(reason=Reason.REBOOT).guest(guest.name)
    assert record(result, SAMPLE, "on_guest_stop").message == "shop: exit code 1: is stuck"
    assert (composed(guest), result.outcome) == (ALL[:2], Outcome.STOPPED)


def test_one_that_hangs_ends_with_the_call_and_is_started_again(tmp_path: Path) -> None:
    docker = Docker()
    docker.answers[STOP.format("shop")] = Says(takes=1000)
    lab, guest = lab_of(tmp_path, docker)
    result = lab.shutdown(reason=Reason.REBOOT).guest(guest.name)
    assert record(result, SAMPLE, "on_guest_stop").result is Verdict.TIMEOUT
    assert result.outcome is Outcome.STOPPED
    lab.restore()
    assert composed(guest)[-2:] == ALL[2:]


@pytest.mark.parametrize(
    ("answer", "why"),
    [("", "no Compose project runs in it"), (Says(exit_code=127), "there is no Docker in it")],
)
def test_where_there_is_nothing_to_stop_it_is_skipped(tmp_path: Path, answer: Any, why: str) -> None:
    docker = Docker()
    docker.answers["docker ps *"] = answer
    lab, guest = lab_of(tmp_path, docker)
    told: HookRecord = record(lab.shutdown().guest(guest.name), SAMPLE, "on_guest_stop")
    assert (told.result, told.message, composed(guest)) == (Verdict.SKIPPED, why, [])


def test_a_rehearsal_stops_and_starts_nothing(tmp_path: Path) -> None:
    lab, guest = lab_of(tmp_path, Docker())
    lab.fire("on_guest_stop", guest)
    assert lab.lines == ["would stop shop, wiki"]
    lab.shutdown()
    lab.fire("on_guest_started", guest)
    assert lab.lines == []  # of a guest whose start is rehearsed nothing is known
    assert composed(guest) == ALL[:2]

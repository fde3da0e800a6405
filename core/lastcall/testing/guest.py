"""A guest in the lab: how it behaves, and what it was asked."""

from collections.abc import Mapping
from dataclasses import replace

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.run import Json
from lastcall.testing.memory.guest import AgentAnswer, AgentCall, FakeGuest
from lastcall.testing.memory.hypervisor import FakeHypervisor
from lastcall.testing.shell import AnsweringShell


class LabGuest:
    """A guest in the lab. What it does is said before a run; its `state` and what it was `asked` are known after it.

    Ways to be asked are named as in `stop`: `acpi`, `agent`, `default`, `save`, `destroy`, `graceful`, `signal 15`.
    """

    def __init__(self, fake: FakeGuest, settings: Mapping[str, Json], *, shell: bool) -> None:
        self.fake = fake
        none: dict[str, Json] = {} if shell else {"shell": []}
        self.rule: dict[str, Json] = {**none, **settings}
        self.shell = AnsweringShell(fake.name)
        self._events: list[tuple[float, str]] = []

    @property
    def name(self) -> str:
        """Its name."""
        return self.fake.name

    @property
    def guest(self) -> Guest:
        """It as hooks see it."""
        return self.fake.guest

    @property
    def state(self) -> GuestState:
        """What it does now."""
        return self.fake.state

    @property
    def asked(self) -> list[str]:
        """The requests that reached it, in order: `acpi`, `save`, `start` and so on."""
        return [how for _, how in self.fake.asked]

    @property
    def agent_calls(self) -> list[AgentCall]:
        """The commands that its agent was given, with their arguments."""
        return list(self.fake.told)

    def is_deaf_to(self, *ways: str) -> None:
        """It hears these requests, and does nothing."""
        self.fake.deaf_to |= set(ways)

    def refuses(self, *ways: str) -> None:
        """libvirt refuses these requests."""
        self.fake.refuses |= set(ways)

    def hangs_in(self, *ways: str) -> None:
        """libvirt does not answer these requests."""
        self.fake.hangs_in |= set(ways)

    def agent_answers(self, answers: Mapping[str, AgentAnswer]) -> None:
        """Say what its agent answers to commands; it has one from now on."""
        self.fake.agent = True
        self.fake.commands |= answers

    def crashes(self, *, after: float = 0.0) -> None:
        """In the next run its system crashes after so many seconds."""
        self._events.append((after, "crash"))

    def goes_off(self, *, after: float = 0.0) -> None:
        """In the next run it powers off after so many seconds, whoever asked it."""
        self._events.append((after, "off"))

    def starts(self, *, after: float = 0.0) -> None:
        """In the next run somebody else starts it after so many seconds."""
        self._events.append((after, "start"))

    def schedule(self, hypervisor: FakeHypervisor) -> None:
        """Let what is said of the next run happen in this one."""
        events, self._events = self._events, []
        for after, what in events:
            if what == "crash":
                hypervisor.loop.call_later(after, hypervisor.crash, self.fake)
            elif what == "off":
                hypervisor.loop.call_later(after, hypervisor.stop, self.fake, Ended.SHUTDOWN)
            else:
                hypervisor.loop.call_later(after, hypervisor.begin, self.fake)

    def paused(self) -> None:
        """Somebody has paused it."""
        self.fake.state = GuestState.PAUSED

    def cannot_be_saved(self, why: str) -> None:
        """Let its devices speak against saving its memory."""
        self.fake.traits = replace(self.fake.traits, unsaveable=why)

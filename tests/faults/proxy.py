"""A Unix socket between lastcall and libvirtd at which messages meet their faults."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from faults.frames import Frame, Kind, Way, read_frame
from faults.rules import Action, Rule, Rules
from faults.traffic import Passed, Traffic
from lab.patience import LONGEST

_TICK = 0.02  # seconds between two looks at the clock
_OVERTAKEN = 0.5  # seconds after which a message is not overtaken any more, as no other comes
REFUSAL = (1, "a fault of the test")
"""libvirt's VIR_ERR_INTERNAL_ERROR, and its text."""


def _nobody() -> None:
    """Nobody wants to know."""


class Proxy:
    """Serves `path` in a thread of its own, as long as it is entered. `told` is called for `Action.TELL`, there.

    `lag`: the seconds by which this machine was late at worst, for what is compared with a clock.
    """

    def __init__(
        self, daemon: Path, path: Path, rules: Sequence[Rule] = (), told: Callable[[], None] = _nobody
    ) -> None:
        self._daemon, self._path, self._told = daemon, path, told
        self._rules = Rules(rules)
        self._stands, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault proxy")
        self._over = asyncio.Event()
        self._links: set[Link] = set()
        self._frozen = dict.fromkeys(Way, 0.0)  # until when nothing goes this way, on the monotonic clock
        self._deaf = 0.0
        self.traffic = Traffic()
        self.lag = 0.0

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._thread.start()
        if not self._stands.wait(LONGEST):
            raise TimeoutError("the proxy does not stand")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(LONGEST)
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, contextlib.suppress(asyncio.CancelledError):
            runner.run(self._serve())

    async def _serve(self) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self._path))
            listening.listen(128)
            listening.setblocking(False)
            tasks = [asyncio.create_task(work) for work in (self._accept(listening), self._watch_the_clock())]
            self._stands.set()
            await self._over.wait()
            for task in tasks:
                task.cancel()
            for link in list(self._links):
                link.cut()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # for the connections to be closed, too

    async def _watch_the_clock(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK)
            self.lag = max(self.lag, time.monotonic() - before - _TICK)

    async def _accept(self, listening: socket.socket) -> None:
        number = 0
        while True:
            client, _ = await self._loop.sock_accept(listening)
            number += 1
            link = Link(self, number)
            self._links.add(link)
            try:
                while self._deaf > time.monotonic():
                    await asyncio.sleep(_TICK)
                await link.open(client, self._daemon)
            except (OSError, asyncio.CancelledError) as error:
                client.close()  # the daemon cannot be reached, which its client sees as an end
                link.cut()
                if isinstance(error, asyncio.CancelledError):
                    raise

    def drop(self, link: "Link") -> None:
        """A connection has ended."""
        self._links.discard(link)

    def fate(self, link: int, way: Way, frame: Frame) -> Rule | None:
        """Note a message and say what happens to it."""
        rule = self._rules.take(way, frame)
        self.traffic.passed.append(Passed(time.monotonic(), link, way, frame, rule.action if rule else None))
        match rule.action if rule else None:
            case Action.FREEZE if rule:
                self._frozen[way] = max(self._frozen[way], time.monotonic() + rule.seconds)
            case Action.DEAF if rule:
                self._deaf = max(self._deaf, time.monotonic() + rule.seconds)
            case Action.TELL:
                self._told()
            case _:
                pass
        return rule

    async def thaw(self, way: Way) -> None:
        """Wait while this direction is frozen."""
        while self._frozen[way] > time.monotonic():
            await asyncio.sleep(_TICK)


class Link:
    """One connection, and its other half to the daemon."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        self._proxy, self._number = proxy, number
        self._writers: dict[Way, asyncio.StreamWriter] = {}
        self._overtaken: dict[Way, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, client: socket.socket, daemon: Path) -> None:
        """Begin to pass messages; raises OSError where the daemon cannot be reached."""
        from_daemon, self._writers[Way.TO_DAEMON] = await asyncio.open_unix_connection(str(daemon))
        from_client, self._writers[Way.TO_CLIENT] = await asyncio.open_connection(sock=client)
        self._begin(self._pass_all(Way.TO_DAEMON, from_client))
        self._begin(self._pass_all(Way.TO_CLIENT, from_daemon))

    def cut(self) -> None:
        """End both halves at once; what is on its way is lost."""
        for writer in self._writers.values():
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        self._proxy.drop(self)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_all(self, way: Way, reader: asyncio.StreamReader) -> None:
        while frame := await read_frame(reader):
            await self._proxy.thaw(way)
            rule = self._proxy.fate(self._number, way, frame)
            if rule and rule.action is Action.CUT:
                break
            await self._suffer(way, frame, rule)
        self.cut()

    async def _suffer(self, way: Way, frame: Frame, rule: Rule | None) -> None:
        """Do to a message what its rule says."""
        match rule.action if rule else None:
            case Action.DROP:
                return
            case Action.DELAY if rule:
                self._begin(self._send_late(way, frame, rule.seconds))
            case Action.DOUBLE:
                self._send(way, frame)
                self._send(way, frame)
            case Action.REORDER:
                self._overtaken[way] = asyncio.get_running_loop().create_future()
                self._begin(self._send_overtaken(way, frame, self._overtaken[way]))
            case Action.REFUSE if frame.kind in {Kind.CALL, Kind.REPLY}:  # an event cannot be refused
                self._send(Way.TO_CLIENT, frame.refused(*REFUSAL))
            case Action.FREEZE:
                await self._proxy.thaw(way)
                self._send(way, frame)
            case _:
                self._send(way, frame)

    async def _send_late(self, way: Way, frame: Frame, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._send(way, frame)

    async def _send_overtaken(self, way: Way, frame: Frame, overtaken: "asyncio.Future[None]") -> None:
        await asyncio.wait({overtaken}, timeout=_OVERTAKEN)
        self._send(way, frame)

    def _send(self, way: Way, frame: Frame) -> None:
        self._writers[way].write(frame.data)
        overtaken = self._overtaken.pop(way, None)
        if overtaken and not overtaken.done():
            overtaken.set_result(None)

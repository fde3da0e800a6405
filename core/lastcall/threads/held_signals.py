"""Signals to this program: from its first line on none ends it by surprise; they wait for whoever answers them."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # most commands have no loop, and load none
    import asyncio

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class HeldSignals:
    """Signals wait (`waiting`, in their order) from `hold` on, and are answered within `answered`. Main thread only.

    By handlers, not by a mask: a mask is inherited by every thread and program that is started meanwhile, and a hook's
    background process that cannot hear SIGTERM holds up the host.
    """

    def __init__(self) -> None:
        self.waiting: list[signal.Signals] = []
        self._before: dict[signal.Signals, Any] = {}

    def hold(self) -> None:
        """Let signals wait from now on. What is ignored stays ignored: `nohup` means it."""
        for number in HELD:
            before = signal.getsignal(number)
            if number in self._before or (before is signal.SIG_IGN and number is not signal.SIGUSR1):
                continue
            self._before[number] = before
            signal.signal(number, self._take)

    @contextmanager
    def let_go(self) -> Generator[None]:
        """Within, signals do what they do to any program, and those that wait do it now; afterwards they wait again."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()
        waiting, self.waiting = self.waiting, []
        for number in waiting:
            signal.raise_signal(number)
        yield
        self.hold()

    @contextmanager
    def answered(self, loop: "asyncio.AbstractEventLoop", answer: Callable[[signal.Signals], None]) -> Generator[None]:
        """Within, the loop calls `answer` for each signal, first for those that wait; afterwards they wait again.

        Not by the loop's own handlers: when a loop is closed it puts the default back, and a signal that comes between
        the last guest and the end of the process would kill it, with its report untold.
        """
        import socket

        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        # Without it a signal that the kernel gives to another thread is noticed only when the loop wakes by itself.
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

        def look() -> None:
            reader.recv(4096)
            self._answer(answer)

        loop.add_reader(reader, look)
        loop.call_soon(self._answer, answer)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reader)
            reader.close()
            writer.close()

    def _take(self, number: int, _frame: object) -> None:
        self.waiting.append(signal.Signals(number))

    def _answer(self, answer: Callable[[signal.Signals], None]) -> None:
        while self.waiting:
            answer(self.waiting.pop(0))

"""Workers that need no thread."""

import asyncio
import math
from collections.abc import Callable
from typing import TypeVar

from lastcall.threads.answers import WorkerExit

T = TypeVar("T")


class Hangs(BaseException):
    """Raised by work that pretends to hang: its caller waits until the time is over."""


class InlineWorkers:
    """Does work at once, on the loop thread. Work that blocks blocks everything: let it raise `Hangs` instead."""

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work; a timeout that is over already is a TimeoutError."""
        if timeout is not None and timeout <= 0:
            raise TimeoutError
        try:
            return work()
        except Exception:
            raise
        except Hangs:
            await asyncio.sleep(math.inf if timeout is None else timeout)
            raise TimeoutError from None
        except BaseException as error:  # noqa: BLE001  as the real workers do
            raise WorkerExit(error) from None

    def post(self, action: Callable[[], None]) -> None:
        """Do it at once: there is one thread only."""
        action()

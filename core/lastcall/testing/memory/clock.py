"""A clock that jumps: an asyncio loop in which waiting takes no time."""

import asyncio
import selectors

_TURNS = 100_000  # of the loop at one moment, some hundred times those of a run with thousands of guests


class JumpingSelector(selectors.SelectSelector):
    """Instead of waiting for the next timer, lets the loop's time be then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0  # without a pause

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; where nothing is, it is `timeout` later."""
        ready = super().select(0)
        self._turns = self._turns + 1 if timeout == 0 else 0
        if self._turns > _TURNS:
            raise RuntimeError(f"something turns without end at {self.now:.3f} and lets no time pass")
        if not ready and timeout is None:
            # Else a test that waits in vain would hang instead of failing.
            raise RuntimeError("everything waits and nothing is going to happen any more")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at 0 and jumps from one timer to the next."""

    def __init__(self, selector: JumpingSelector | None = None) -> None:
        self._jumping = selector or JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the loop was made, in its own time."""
        return self._jumping.now

"""What plugins say of the power, asked once and in bounded time, whatever they and the configuration are like."""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.power.answers import PowerAnswers
from lastcall.errors import in_words
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.records.records import Record
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import assemble
from lastcall.runs.loading import Allowance, load
from lastcall.runs.request import RunRequest
from lastcall.threads.box import Box

ASKING = 5.0  # seconds, loading the plugins included: a battery that runs low does not wait


def ask_plugins(config: Path | None) -> PowerAnswers:
    """Ask; raises nothing."""

    def ask() -> PowerAnswers:
        loop = asyncio.new_event_loop()
        try:
            questions = open_questions(config, loop, lambda _: None, patience=ASKING)
            return PowerAnswers(
                loop.run_until_complete(questions.policy()), loop.run_until_complete(questions.supplies())
            )
        finally:
            loop.close()

    try:
        return Box().call(ask, timeout=ASKING)
    except TimeoutError:
        return PowerAnswers(problem=f"plugins have not answered within {ASKING:.0f} s")
    except Exception as error:  # noqa: BLE001  a broken file, or a bug, must not cost the host its announcement
        return PowerAnswers(problem=in_words(error))


def open_questions(
    config: Path | None, loop: asyncio.AbstractEventLoop, tell: Callable[[Record], None], *, patience: float = math.inf
) -> PowerQuestions:
    """Whom to ask, again and again within these seconds; `tell` gets what comes of it, as records. Raises ConfigInvalid
    for a broken file that somebody has named.
    """
    allowance = Allowance(RunKind.SHUTDOWN, time.monotonic(), ASKING)
    loaded = load(config, Reason.POWER, allowance=allowance)
    request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.POWER, deadline=patience, sinks=[("power", tell)])
    # No run: it has no log, and asks no guest.
    real = Outside.real(loop)
    outside = Outside(real.workers, real.hypervisor, lambda _log, _ends: lambda _record: None, real.wait)
    parts = assemble(loaded, request, loop, outside)
    return PowerQuestions(parts.hooks, parts.context.terms, loop)

"""Whatever else keeps data: a command that flushes, one that shows it, and what that has to say."""

import re

from pydantic import Field, field_validator

from lastcall.options import COMMAND
from lastcall_plugins.databases.engine import DatabaseOptions, Engine, Flush, Unproven, told


class CustomOptions(DatabaseOptions):
    """Options of `custom`."""

    name: str = Field(default="custom", description="What it is called in the report.")
    flush: str = Field(description="The command line that flushes.", json_schema_extra=COMMAND)
    proof: str = Field(
        description="The command line that shows whether it is flushed; run before and after.",
        json_schema_extra=COMMAND,
    )
    pattern: str = Field(description="A regular expression that a line of the proof's output has to match as a whole.")
    user: str | None = Field(default=None, description="Whom to run both as.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


class Custom(Engine[CustomOptions]):
    """Anything."""

    name = "custom"
    options = CustomOptions

    def flush(self, flush: Flush[CustomOptions]) -> None:
        """Proven when the proof says so, after a flush that did not say that it failed."""
        options = flush.options
        flush.before["proof"] = self._show(flush)
        result = flush.run_script(options.flush, user=options.user)
        flush.after["proof"] = shown = self._show(flush)
        if result.exit_code:
            raise Unproven(f"the flush failed with exit code {result.exit_code}: {told(result)}")
        if not any(re.fullmatch(options.pattern, line) for line in shown.splitlines()):
            last = shown.splitlines()[-1] if shown else "nothing"
            raise Unproven(f"the proof says {last!r}, which does not match {options.pattern!r}")

    def _show(self, flush: Flush[CustomOptions]) -> str:
        return flush.run_script(flush.options.proof, user=flush.options.user).stdout.strip()[:2000]

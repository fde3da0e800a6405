"""A change of a setting, as somebody would write it, and what the run is with it."""

from collections.abc import Mapping
from dataclasses import field, replace

from lastcall.api.guests import Key
from lastcall.config.guest_settings import GuestRule
from lastcall.formats.values import value
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import ExpectedCall
from lastcall.planning.within.scenario import Scenario


@value(kw_only=True)
class SettingChange:
    """A setting with what it says and is to say; `why` is what earlier runs tell.

    It comes to `rules` behind all others, limits of guests at once for the run or for connections by their URIs, time
    boxes by plugin, or other times that guests are `known` to take.
    """

    setting: str
    before: str
    after: str
    why: str = ""
    rules: tuple[GuestRule, ...] = ()
    parallel: int | None = None
    connections: Mapping[str, int] = field(default_factory=dict[str, int])
    boxes: Mapping[str, float] = field(default_factory=dict[str, float])
    known: Mapping[Key, Usual] = field(default_factory=dict[Key, Usual])

    def __str__(self) -> str:
        return f"{self.setting} {self.before} → {self.after}" + (f": {self.why}" if self.why else "")

    def made_in(self, scenario: Scenario) -> Scenario:
        """The scenario with this change."""
        limits, around = scenario.limits, scenario.around
        if self.parallel is not None:
            limits, around = replace(limits, parallel=self.parallel), replace(around, slots=self.parallel)
        return replace(
            scenario,
            policies=scenario.policies.with_rules(self.rules) if self.rules else scenario.policies,
            limits=replace(limits, connections={**limits.connections, **self.connections}),
            around=around,
            known={**scenario.known, **self.known} if self.known else scenario.known,
            hooks=replace(
                scenario.hooks,
                run=self._boxed(scenario.hooks.run),
                guests={key: self._boxed(calls) for key, calls in scenario.hooks.guests.items()},
            )
            if self.boxes
            else scenario.hooks,
        )

    def _boxed(self, calls: tuple[ExpectedCall, ...]) -> tuple[ExpectedCall, ...]:
        return tuple(
            replace(call, limit=min(call.limit, self.boxes[call.plugin])) if call.plugin in self.boxes else call
            for call in calls
        )

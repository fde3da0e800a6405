"""Changes of settings that may keep guests from being forced: few, of the settings that decide how long a run takes."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from lastcall.api.guests import Key
from lastcall.api.matching import is_like
from lastcall.api.naming.guest_names import GuestNames
from lastcall.config.guest_settings import GuestPolicy, GuestRule, LadderStep, Match
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.planning.history import Usual
from lastcall.planning.plan import SAVE, PlannedGuest
from lastcall.planning.within.scenario import Played, Scenario
from lastcall.planning.within.setting_change import SettingChange
from lastcall.planning.worst_case import at_worst, is_endless

SPARE = 1.2  # times the longest that was ever needed
STEP_BY = 5  # seconds, to which times are rounded up
MOST_ORDERS = 3  # that are tried for a guest
MOST_GROUPS = 12  # guests, or families of guests, that are looked at by themselves
_NUMBER = re.compile(r"[0-9]+")
_Wrong: TypeAlias = Callable[[float, float], bool]
"""Whether a time that is configured should be the target instead."""


@value
class _Group:
    """Guests that one rule is for; `name` is a glob where they are several. `place`: see `GuestNames`."""

    name: str
    members: tuple[PlannedGuest, ...]
    place: str = ""

    @property
    def called(self) -> str:
        return f"guests {self.name}" if len(self.members) > 1 else f"guest {self.name}{self.place}"

    @property
    def match(self) -> Match:
        only = self.members[0].guest
        # A glob that is a name would cover others besides; two connections may have a guest of one name.
        given: dict[str, Any] = {"uuid": only.uuid, "uri": only.uri} if len(self.members) == 1 else {"name": self.name}
        return Match.model_construct(**given)

    def rule(self, **keys: Any) -> GuestRule:
        return GuestRule.model_construct(match=self.match, **keys)


@value(kw_only=True)
class Candidates:
    """What may be changed of a scenario that has been `played`. `troubled`: the guests that would be forced.

    `saves`: what earlier saves tell of guests that can be saved. `parallel_setting`: where `parallel` is said.
    """

    scenario: Scenario
    played: Played
    troubled: Sequence[Key]
    saves: Mapping[Key, Usual]
    parallel_setting: str = "shutdown.parallel"

    def for_usual_times(self) -> Iterator[SettingChange]:
        """Changes that help where guests take the time that they took in earlier runs."""
        yield from self._limits()
        groups = list(self._groups([*self.troubled, *self.played.outlook.usual.path]))
        yield from self._longer_ladders(groups)
        yield from self._orders(groups)
        yield from self._saves(groups)

    def for_worst_case(self) -> Iterator[SettingChange]:
        """Changes that help where every time is used up that is configured."""
        yield from self._limits()
        groups = list(self._groups([*self.played.outlook.worst.path, *self.troubled]))
        yield from self._shorter_ladders(groups)
        yield from self._boxes()
        yield from self._orders(groups)

    def _limits(self) -> Iterator[SettingChange]:
        count, limits = len(self.scenario.guests), self.scenario.limits
        for more in _doubled(limits.parallel, count):
            yield SettingChange(
                setting=self.parallel_setting, before=str(limits.parallel), after=_limit(more), parallel=more
            )
        for uri, limit in sorted(limits.connections.items()):
            for more in _doubled(limit, sum(guest.uri == uri for guest in self.scenario.guests)):
                yield SettingChange(
                    setting=f"connection {uri}: parallel", before=str(limit), after=_limit(more),
                    connections={uri: more},
                )  # fmt: skip

    def _groups(self, keys: Iterable[Key]) -> Iterator[_Group]:
        """The guests one by one, then the families of those that have one, then all."""
        by_key = {planned.guest.key: planned for planned in self.played.guests if not planned.left_because}
        meant = [by_key[key] for key in dict.fromkeys(keys) if key in by_key][:MOST_GROUPS]
        called = GuestNames(self.scenario.guests)
        yield from (_Group(one.guest.name, (one,), called.place(one.guest)) for one in meant)
        names = dict.fromkeys(_NUMBER.sub("*", planned.guest.name) for planned in meant)
        for glob in (*names, "*"):
            family = tuple(planned for planned in by_key.values() if is_like(planned.guest.name, glob))
            if len(family) > 1 and (glob == "*" or len(family) < len(by_key)):
                yield _Group(glob, family)

    def _shorter_ladders(self, groups: Iterable[_Group]) -> Iterator[SettingChange]:
        """Times that are longer than was ever needed: others wait for as long as one takes that hangs."""
        for group in groups:
            needed = self._needed(group)
            if needed:
                yield from self._ladder(group, needed, lambda has, target: has > target)

    def _longer_ladders(self, groups: Iterable[_Group]) -> Iterator[SettingChange]:
        """Times that end before the guest is usually off."""
        for group in groups:
            needed = self._needed(group)
            short = [one for one in group.members if not is_endless(one) and needed and at_worst(one) < needed.seconds]
            if needed and len(short) == len(group.members):
                yield from self._ladder(group, needed, lambda has, target: has < target)

    def _ladder(self, group: _Group, needed: Usual, wrong: _Wrong) -> Iterator[SettingChange]:
        """The group's `timeout`, or the times that stand in its ladder itself, where all of it are configured alike."""
        target = max(STEP_BY, math.ceil(needed.longest * SPARE / STEP_BY) * STEP_BY)
        policies = [self.scenario.policies.of(one.guest) for one in group.members]
        why = f"{'it' if len(group.members) == 1 else 'the slowest'} usually needs {_words(needed)}"
        used = {step.method for one in group.members for step in one.steps if step.timeout is not None}
        plain = {policy.timeout for policy in policies}
        if len(plain) == 1 and wrong(plain.copy().pop(), target) and any(_uses_timeout(one, used) for one in policies):
            yield SettingChange(
                setting=f"{group.called}: timeout", before=format_duration(plain.pop()), after=format_duration(target),
                why=why, rules=(group.rule(timeout=float(target)),),
            )  # fmt: skip
        for method in sorted(used):
            own = {_own_time(step) for policy in policies for step in policy.stop if step.chosen[0] == method}
            has = own.copy().pop() if len(own) == 1 else None
            ladders = {tuple(str(step.chosen) for step in policy.stop) for policy in policies}
            if has is not None and wrong(has, target) and len(ladders) == 1:
                stop = tuple(_timed(step, method, target) for step in policies[0].stop)
                yield SettingChange(
                    setting=f"{group.called}: timeout of {method}", before=format_duration(has),
                    after=format_duration(target), why=why, rules=(group.rule(stop=stop),),
                )  # fmt: skip

    def _needed(self, group: _Group) -> Usual | None:
        """What the slowest of a group needs; None where no run has seen one of them."""
        known = [self.scenario.known.get(one.guest.key) for one in group.members]
        seen = [usual for usual in known if usual]
        if len(seen) < len(known):
            return None
        slowest = max(seen, key=lambda usual: usual.longest)
        return Usual(max(usual.seconds for usual in seen), slowest.longest, min(usual.runs for usual in seen))

    def _boxes(self) -> Iterator[SettingChange]:
        hooks = self.scenario.hooks
        calls = [call for some in (hooks.run, *hooks.guests.values()) for call in some]
        for plugin in sorted({call.plugin for call in calls}):
            own = [call for call in calls if call.plugin == plugin]
            seen = [call.usual for call in own if call.usual]
            if len(seen) < len(own):
                continue
            longest, limit = max(usual.longest for usual in seen), max(call.limit for call in own)
            target = max(STEP_BY, math.ceil(longest * SPARE / STEP_BY) * STEP_BY)
            if target < limit:
                yield SettingChange(
                    setting=f"hooks.plugins.{plugin}.timeout", before=format_duration(limit),
                    after=format_duration(target), why=f"it never took more than {format_duration(round(longest, 1))}",
                    boxes={plugin: float(target)},
                )  # fmt: skip

    def _orders(self, groups: Iterable[_Group]) -> Iterator[SettingChange]:
        """To stop together with those that stop earlier: with the next ones, then with the ones before, then first."""
        numbers = sorted(
            {order for one in self.played.guests if (order := self.scenario.policies.of(one.guest).order) is not None}
        )
        for group in groups:
            orders = {self.scenario.policies.of(one.guest).order for one in group.members}
            order = orders.pop() if len(orders) == 1 else None
            if order is not None:
                yield from (self._order(group, order, after) for after in (*_after(numbers, order), None))

    @staticmethod
    def _order(group: _Group, order: int, after: int | None) -> SettingChange:
        return SettingChange(
            setting=f"{group.called}: order",
            before=str(order),
            after="null, which stops first" if after is None else str(after),
            rules=(group.rule(order=after),),
        )

    def _saves(self, groups: Iterable[_Group]) -> Iterator[SettingChange]:
        """To save a guest instead of asking it: only where earlier runs tell how long that takes."""
        for group in groups:
            saves = {one.guest.key: self.saves[one.guest.key] for one in group.members if one.guest.key in self.saves}
            if len(saves) == len(group.members):
                slowest = max(saves.values(), key=lambda usual: usual.seconds)
                stop = (LadderStep.model_validate(SAVE),)
                yield SettingChange(
                    setting=f"{group.called}: stop", before=_first(group.members[0]), after=SAVE,
                    why=f"a save usually takes {_words(slowest)}", rules=(group.rule(stop=stop),), known=saves,
                )  # fmt: skip


def _doubled(limit: int, count: int) -> Iterator[int]:
    """Larger limits, up to none."""
    more = 2 * limit
    while limit and more < count:
        yield more
        more *= 2
    if limit and count > limit:
        yield 0


def _after(numbers: Sequence[int], order: int) -> Sequence[int]:
    """The few next ones."""
    return [number for number in numbers if number > order][:MOST_ORDERS]


def _limit(limit: int) -> str:
    return str(limit) if limit else "0, which is no limit"


def _words(usual: Usual) -> str:
    runs = f"{usual.runs} run{'' if usual.runs == 1 else 's'}"
    needs = format_duration(round(usual.seconds, 1))
    most = format_duration(round(usual.longest, 1))
    return f"{needs} (from {runs})" if needs == most else f"{needs}, {most} at most (from {runs})"


def _first(planned: PlannedGuest) -> str:
    return next((step.method for step in planned.steps), "nothing")


def _own_time(step: LadderStep) -> float | None:
    return getattr(step.chosen[1], "timeout", None)


def _uses_timeout(policy: GuestPolicy, used: Iterable[str]) -> bool:
    """Whether a rung of these has the guest's `timeout`."""
    return not policy.stop or any(_own_time(step) is None for step in policy.stop if step.chosen[0] in used)


def _timed(step: LadderStep, method: str, seconds: float) -> LadderStep:
    """The step, with this time if it is of this method."""
    name, options = step.chosen
    if name != method:
        return step
    given: dict[str, Any] = options.model_dump(exclude_unset=True)
    return type(step).model_validate({name: {**given, "timeout": float(seconds)}})

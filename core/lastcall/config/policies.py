"""What each guest gets: defaults, its own metadata, what plugins know of it, and the rules, in this order."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from lastcall.api.guests import Guest
from lastcall.config.guest_settings import GuestPolicy, GuestRule, overlay
from lastcall.config.policy.management import is_ours, is_watched
from lastcall.config.settings import Settings
from lastcall.formats.values import changing, value

if TYPE_CHECKING:
    from lastcall.api.guests import Key

OWN_WORD = "metadata"  # the source of what a guest says of itself
_GLOB = frozenset("*?[")


@value
class Layer:
    """One source of settings: where they come from, and the keys it gives (`policy.model_fields_set`)."""

    source: str
    policy: GuestPolicy

    @property
    def called(self) -> str:
        """What it is called to a person: a rule together with what it matches."""
        if not isinstance(self.policy, GuestRule):
            return self.source
        return f"{self.source}, match {json.dumps(self.policy.match.model_dump(mode='json'), ensure_ascii=False)}"


@changing
class _Learnt:
    layers: list[Layer] = field(default_factory=list[Layer])
    policy: GuestPolicy | None = None


class Policies:
    """Finds a guest's policy. Rules for one exact name are indexed: hosts with a rule per guest have many of them."""

    def __init__(self, settings: Settings) -> None:
        self._defaults = settings.defaults
        self._rules = settings.guests
        self._learnt: dict[Key, _Learnt] = {}
        self._watched = frozenset[str]()
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._others: list[int] = []
        for index, rule in enumerate(settings.guests):
            name = rule.match.name
            (self._others if name is None or _GLOB & set(name) else self._exact[name]).append(index)

    def learn(self, guest: Guest, source: str, policy: GuestPolicy) -> None:
        """Lay what a guest's metadata or a plugin says over the defaults, below the rules."""
        learnt = self._learnt.setdefault(guest.key, _Learnt())
        learnt.layers.append(Layer(source, policy))
        learnt.policy = None

    def watch(self, uris: Iterable[str]) -> None:
        """Take the guests of these connections for watched ones: nobody may touch them, whatever else is said."""
        self._watched = frozenset(uris)

    @property
    def may_watch(self) -> bool:
        """Whether the configuration says of any guest that it is watched."""
        return any(is_watched(policy) for policy in (self._defaults, *self._rules))

    def forget(self, guest: Guest) -> None:
        """Forget what was learnt of a guest, to learn it anew."""
        self._learnt.pop(guest.key, None)

    def of(self, guest: Guest) -> GuestPolicy:
        """The guest's policy; computed once for each guest and state."""
        learnt = self._learnt.get(guest.key) or self._learnt.setdefault(guest.key, _Learnt())
        if learnt.policy is None:
            policy = self._defaults
            for layer in self.layers(guest):
                policy = overlay(policy, layer.policy)
            if guest.uri in self._watched and is_ours(policy):
                policy = overlay(policy, GuestPolicy.model_construct(manage="watch"))
            learnt.policy = policy
        return learnt.policy

    def layers(self, guest: Guest) -> Iterator[Layer]:
        """Every source above the defaults that says something about the guest, in the order of their precedence."""
        learnt = self._learnt.get(guest.key)
        yield from learnt.layers if learnt else ()
        for index, rule in self._matching(guest):
            yield Layer(f"guests[{index}]", rule)

    def is_own_word(self, guest: Guest, key: str) -> bool:
        """Whether what counts for a key is what the guest says of itself, in its metadata."""
        learnt = self._learnt.get(guest.key)
        if not learnt or not any(key in layer.policy.model_fields_set for layer in learnt.layers):
            return False  # most guests; for the others all rules are gone through once more
        sources = [layer.source for layer in self.layers(guest) if key in layer.policy.model_fields_set]
        return sources[-1] == OWN_WORD

    def with_rules(self, rules: Sequence[GuestRule]) -> "Policies":
        """The policies if these rules stood behind all others; what is learnt later is not known to them."""
        return _TriedPolicies(self, rules)

    def _matching(self, guest: Guest) -> Iterator[tuple[int, GuestRule]]:
        # Back in the order of the file: the later rule wins, whichever of the two indexes it was found by.
        for index in sorted([*self._exact.get(guest.name, ()), *self._others]):
            rule = self._rules[index]
            if rule.match.covers(guest):
                yield index, rule


class _TriedPolicies(Policies):
    """Rules laid over what is known already: to try one costs as much as the guests that it covers."""

    def __init__(self, base: Policies, rules: Sequence[GuestRule]) -> None:
        self._base, self._over = base, tuple(rules)
        self._policies: dict[Key, GuestPolicy] = {}

    def of(self, guest: Guest) -> GuestPolicy:
        """The guest's policy."""
        if guest.key not in self._policies:
            policy = self._base.of(guest)
            for rule in self._of_guest(guest):
                policy = overlay(policy, rule)
            self._policies[guest.key] = policy
        return self._policies[guest.key]

    def layers(self, guest: Guest) -> Iterator[Layer]:
        """Every source above the defaults."""
        yield from self._base.layers(guest)
        yield from (Layer("tried", rule) for rule in self._of_guest(guest))

    def is_own_word(self, guest: Guest, key: str) -> bool:
        """Whether what counts for a key is what the guest says of itself."""
        ours = any(key in rule.model_fields_set for rule in self._of_guest(guest))
        return not ours and self._base.is_own_word(guest, key)

    def _of_guest(self, guest: Guest) -> Iterator[GuestRule]:
        return (rule for rule in self._over if rule.match.covers(guest))

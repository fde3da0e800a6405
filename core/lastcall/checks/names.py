"""Names of what plugins provide, wherever settings use them: is there such a stop method, guest shell or plugin?

A run goes without what is not there; who checks a configuration wants to know beforehand.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from lastcall.api.guests import Guest
from lastcall.api.matching import is_like
from lastcall.config.files import Located
from lastcall.config.guest_settings import LEAVE, LEAVE_IS_LAST, GuestPolicy, GuestRule
from lastcall.config.nodes import ListNode, MapNode, Node, NodePath, Scalar, locate, path_text
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import value
from lastcall.hooks.discovery import Plugins


@value
class _Kind:
    """One kind of thing that has a name. `unsure`: what could not be loaded, and may have more of it.

    `elsewhere`: words that mean something in another place, and what helps.
    """

    what: str
    has: str
    things: str
    known: Collection[str]
    unsure: Sequence[str]
    blocked: Collection[str] = ()
    severity: Severity = Severity.ERROR
    elsewhere: Mapping[str, str] = field(default_factory=dict[str, str])

    def problem(self, where: str, path: str, name: str) -> Problem:
        """That nothing has this name; or that nobody can tell."""
        if name in self.elsewhere:
            message = f"{path}: no plugin {self.has} {name!r}"
            return Problem(what=self.what, where=where, message=message, remedy=self.elsewhere[name])
        if self.unsure:
            why = f"{', '.join(self.unsure)} could not be loaded"
            message = f"{path}: nobody knows whether a plugin {self.has} {name!r}: {why}"
            return Problem(what=self.what, where=where, message=message, severity=Severity.WARNING)
        message = f"{path}: no plugin {self.has} {name!r}"
        remedy = f"{self.things} there are: {', '.join(sorted(self.known)) or 'none'}"
        if name in self.blocked:
            message += "; the plugin of that name is blocked by hooks.block"
        else:
            message += did_you_mean(name, self.known)
        return Problem(what=self.what, where=where, message=message, remedy=remedy, severity=self.severity)


class KnownNames:
    """What the plugins that were found provide, and what could not be asked."""

    def __init__(self, plugins: Plugins) -> None:
        registry = plugins.registry
        unread = [source.name for source in registry.failed if source.well_named]
        unsure = [*dict.fromkeys((*unread, *plugins.silent)), *registry.unseen]
        blocked = [source.name for source in registry.blocked]
        there = {source.name for source in (*registry.sources, *registry.failed)}
        methods = _Kind("ladder", "provides the stop method", "stop methods", plugins.methods, unsure, blocked)
        resorts = replace(methods, things="last resorts", known={*methods.known, LEAVE})  # no method, but none at all
        self._steps = {"stop": replace(methods, elsewhere={LEAVE: LEAVE_IS_LAST}), "last_resort": resorts}
        self._shell = _Kind("shell", "provides the guest shell", "guest shells", plugins.shells, unsure, blocked)
        self._plugin = _Kind("plugin", "is called", "plugins", there | {*blocked}, registry.unseen)
        # A warning: a pattern may stand there for a drop-in that comes and goes.
        self._covered = replace(self._plugin, severity=Severity.WARNING)

    def unknown_in(self, root: MapNode) -> Iterator[Located]:
        """Every name in a configuration that nothing has, with its place. What has the wrong form is passed over."""
        for kind, path, name in self._written(root):
            if name not in kind.known:
                mark = locate(root, path)
                yield mark, kind.problem(str(mark), path_text(path), name)

    def unknown_to(self, guests: Iterable[Guest], policies: Policies) -> Iterator[Problem]:
        """The same for what guests' metadata and plugins say of them; what rules say is in the configuration."""
        for guest in guests:
            for layer in policies.layers(guest):
                if not isinstance(layer.policy, GuestRule):
                    yield from self.unknown_of(layer.policy, guest.name, f"{layer.source}: ")

    def unknown_of(self, policy: GuestPolicy, where: str, source: str = "") -> Iterator[Problem]:
        """The same for one policy that was made."""
        for key in self._steps:
            for index, step in enumerate(getattr(policy, key)):
                name = step.chosen[0]
                if name not in self._steps[key].known:
                    yield self._steps[key].problem(where, f"{source}{key}[{index}]", name)
        for name in policy.shell:
            if name not in self._shell.known:
                yield self._shell.problem(where, f"{source}shell", name)

    def _written(self, root: MapNode) -> Iterator[tuple[_Kind, NodePath, str]]:
        rules = root.items.get("guests")
        policies: list[tuple[NodePath, Node | None]] = [(("defaults",), root.items.get("defaults"))]
        policies += [(("guests", at), rule) for at, rule in enumerate(_items(rules))]
        for path, policy in policies:
            for key in self._steps:
                for below, name in _texts(policy, key):
                    yield self._steps[key], (*path, *below), name
            for below, name in _texts(policy, "shell"):
                yield self._shell, (*path, *below), name
        yield from self._plugins_written(root.items.get("hooks"))

    def _plugins_written(self, hooks: Node | None) -> Iterator[tuple[_Kind, NodePath, str]]:
        for key in ("block", "first", "last"):
            for below, name in _texts(hooks, key):
                yield self._plugin, ("hooks", *below), name
        for name in _keys(hooks, "plugins"):
            yield self._plugin, ("hooks", "plugins", name), name
        for pattern in _keys(hooks, "reasons"):
            if not any(is_like(name, pattern) for name in self._covered.known):
                yield self._covered, ("hooks", "reasons", pattern), pattern


def _texts(section: Node | None, key: str) -> Iterator[tuple[NodePath, str]]:
    """The names behind a key, each alone or with its options, and their paths below the section."""
    node = section.items.get(key) if isinstance(section, MapNode) else None
    if isinstance(node, Scalar) and isinstance(node.value, str):
        yield (key,), node.value
    for index, item in enumerate(_items(node)):
        if isinstance(item, Scalar) and isinstance(item.value, str):
            yield (key, index), item.value
        elif isinstance(item, MapNode) and len(item.items) == 1:
            (name,) = item.items
            yield (key, index, name), name


def _keys(section: Node | None, key: str) -> Iterable[str]:
    """The keys of the mapping behind a key."""
    node = section.items.get(key) if isinstance(section, MapNode) else None
    return node.items if isinstance(node, MapNode) else ()


def _items(node: Node | None) -> Sequence[Node]:
    return node.items if isinstance(node, ListNode) else ()

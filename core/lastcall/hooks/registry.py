"""Which plugins there are, what each implements, and what of it could not be used and why."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pluggy

from lastcall.api.markers import PROJECT
from lastcall.config.settings import HookSettings
from lastcall.errors import Problem, Severity
from lastcall.formats.bounded_text import said
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import value
from lastcall.hooks import hookspecs
from lastcall.hooks.environment import PATH
from lastcall.hooks.isolation.outside_runs import placed
from lastcall.hooks.occasions.occasions import ALWAYS, Occasions
from lastcall.hooks.order import LOAD_HOOKS, RUN_HOOKS, Position, firing_order
from lastcall.hooks.refusals.module_mistakes import marked_methods, mistakes_of
from lastcall.hooks.refusals.signatures import mistake_in
from lastcall.hooks.sources import Origin, Source
from lastcall.threads.own_code import OwnCode


@value
class Implementation:
    """One plugin's function for one hook, and when it is meant to be called."""

    hook: str
    position: Position
    function: Callable[..., Any]
    argnames: tuple[str, ...]
    occasions: Occasions = ALWAYS

    @property
    def plugin(self) -> str:
        """The plugin's name."""
        return self.position.source.name

    @property
    def own(self) -> OwnCode:
        """Which code is the plugin's own."""
        return OwnCode(self.function)

    @property
    def file(self) -> str:
        """The file of an executable, which has no lines of ours to name; else nothing."""
        source = self.position.source
        return "" if source.well_named else source.where


class _Manager(pluggy.PluginManager):
    """Registers plugins function by function: what is wrong with one does not cost the plugin its others."""

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.add_hookspecs(hookspecs)
        self.problems: list[Problem] = []
        self.arguments: dict[str, frozenset[str]] = {}
        for name in _hook_names():
            self.arguments[name] = frozenset(getattr(self.hook, name).spec.argnames)

    # pluggy 1.7 rejects a whole plugin for one wrong argument, those before leave it registered by half,
    # and none says anything of a misspelt hook.
    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Return pluggy's options for a function that is a usable implementation, None for everything else."""
        # Most names of a module are what it imports, and asking pluggy of each takes as long as loading it.
        if inspect.ismodule(plugin) and not inspect.isroutine(vars(plugin).get(name)):
            return None
        try:
            options = super().parse_hookimpl_opts(plugin, name)
            function = getattr(plugin, name, None)
        except Exception as error:  # noqa: BLE001  a property of the plugin's own raised
            self._refuse(plugin, name, None, f"cannot be read: {said(error)}")
            return None
        if options is None:
            self._notice_unmarked(plugin, name, function)
            return None
        hook = options.get("specname") or name
        # Of a later lastcall, say: that it may be unknown here is what its plugin says of it.
        if options.get("optionalhook") and hook not in self.arguments:
            return None
        wrapper = bool(options.get("wrapper") or options.get("hookwrapper"))
        wrong = mistake_in(hook, function, self.arguments, wrapper=wrapper)
        if wrong:
            # To pluggy, None is no implementation at all: it goes on with the plugin's other functions.
            self._refuse(plugin, name, function, *wrong)
            return None
        for notice in self._what_is_to_go(hook, function):
            self._tell(plugin, name, function, str(notice), severity=Severity.WARNING)
        return options

    def _what_is_to_go(self, hook: str, function: Any) -> Iterator[Warning]:
        """What the specification says of a hook, or of an argument that the function takes, which are to go."""
        spec = getattr(self.hook, hook).spec
        if spec.warn_on_impl:
            yield spec.warn_on_impl
        arguments: Mapping[str, Warning] | None = spec.warn_on_impl_args
        if arguments:
            taken = inspect.signature(function).parameters
            yield from (notice for name, notice in arguments.items() if name in taken)

    def _notice_unmarked(self, plugin: object, name: str, function: object) -> None:
        if (
            name in self.arguments
            and inspect.isfunction(function)
            # A function that was imported from elsewhere and happens to be called so is no forgotten mark.
            and function.__module__ == getattr(plugin, "__name__", "")
        ):
            self._refuse(
                plugin, name, function, "has the name of a hook but is not marked", "put @lastcall.hookimpl above it"
            )

    def _refuse(self, plugin: object, name: str, function: object, message: str, remedy: str = "") -> None:
        self._tell(plugin, name, function, message, remedy)

    def _tell(
        self,
        plugin: object,
        name: str,
        function: object,
        message: str,
        remedy: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        where = getattr(plugin, "__file__", None) or type(plugin).__name__
        code = getattr(function, "__code__", None)
        if code is not None:
            where = f"{code.co_filename}:{code.co_firstlineno}"
        told = f"{name}: {message}"
        self.problems.append(Problem(what="plugin", where=str(where), message=told, remedy=remedy, severity=severity))


class Registry:
    """Every implementation of every hook, in firing order.

    `blocked` and `failed` are plugins that are not used, `unseen` folders of which nobody could look what is in them.
    """

    def __init__(self, settings: HookSettings, *, bundled_only: bool = False) -> None:
        self._settings = settings
        self._bundled_only = bundled_only
        self._manager = _Manager()
        self._sources: dict[str, Source] = {}
        self._occasions: dict[str, Occasions] = {}
        self._extra: list[Implementation] = []
        self._problems: list[Problem] = []
        self.blocked: list[Source] = []
        self.failed: list[Source] = []
        self.unseen: list[str] = []
        self.resting: frozenset[str] = frozenset()  # plugins that want to be configured first, and are not

    @property
    def search_path(self) -> str:
        """The `PATH` that executables get."""
        return self._settings.environment.get("PATH", PATH)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The plugins in use, by origin and name."""
        return tuple(sorted(self._sources.values(), key=lambda source: (source.origin, source.sort_key)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be loaded or used, and why."""
        return (*self._problems, *self._manager.problems)

    def stray_names(self) -> Iterator[Problem]:
        """Names in `hooks.first`, `last`, `block` and `plugins` that no plugin has: they do nothing, without a word."""
        known = {source.name for source in (*self._sources.values(), *self.blocked, *self.failed)}
        given = self._settings
        for key, names in (
            ("first", given.first),
            ("last", given.last),
            ("block", given.block),
            ("plugins", given.plugins),
        ):
            for name in names if not self.unseen else ():
                if name not in known:
                    message = f"no plugin is called {name!r}{did_you_mean(name, known)}"
                    yield Problem(
                        what="plugin", where=f"hooks.{key}", message=message, remedy="`lastcall plugins` lists them",
                        severity=Severity.WARNING,
                    )  # fmt: skip

    def refuse(self, source: Source, message: str, remedy: str = "") -> None:
        """Record a plugin that is not used."""
        self.failed.append(source)
        self._problems.append(
            Problem(what="plugin", where=f"{source.name} ({source.where})", message=message, remedy=remedy)
        )

    def withdraw(self, source: Source, message: str, remedy: str) -> None:
        """Refuse one that is registered already: nothing of it is used any more."""
        self._manager.unregister(name=source.name)
        del self._sources[source.name]
        self.refuse(source, message, remedy)

    def report(self, problem: Problem) -> None:
        """Record a problem of a plugin that is used all the same."""
        self._problems.append(problem)

    def admits(self, source: Source) -> bool:
        """Say whether a plugin may be loaded: it is not blocked, and no other has its name."""
        others = self._bundled_only and source.origin is not Origin.BUNDLED
        if others or source.name in self._settings.block:
            self.blocked.append(source)
            return False
        # Two of one name would share their options and their folder.
        other = self._sources.get(source.name)
        if other:
            self.refuse(source, f"the name {source.name!r} is taken by {other.where}", "rename or block one of them")
        return other is None

    def add(self, source: Source, plugin: object, occasions: Occasions = ALWAYS) -> None:
        """Register what a plugin implements; its unusable functions become problems."""
        # Registered as it is, each of its methods would be refused for the argument `self`, which explains nothing.
        if inspect.isclass(plugin):
            methods = marked_methods(plugin)
            where = f", {OwnCode(methods[0]).definition}" if methods else ""
            self.refuse(source, f"is a class{where}", "name a module or an instance")
            return
        try:
            with warnings.catch_warnings():  # what is to go is told as a problem, to whoever asks for those
                warnings.simplefilter("ignore", DeprecationWarning)
                self._manager.register(plugin, source.name)
        except Exception as error:  # noqa: BLE001  pluggy's own refusals, and whatever the plugin's attributes raise
            self.refuse(source, f"cannot be registered: {placed(error, OwnCode(plugin))}")
            return
        self._take(source, occasions)
        if source.origin is not Origin.BUNDLED and inspect.ismodule(plugin):
            self._problems += mistakes_of(plugin)

    def add_function(self, source: Source, hook: str, function: Callable[..., Any], occasions: Occasions) -> None:
        """Register one function (an executable drop-in) that takes every argument of its hook."""
        self._take(source, occasions)
        argnames = tuple(sorted(self._manager.arguments[hook]))
        self._extra.append(Implementation(hook, Position(source), function, argnames, self._occasions[source.name]))

    def _take(self, source: Source, occasions: Occasions) -> None:
        self._sources[source.name] = source
        # What the configuration says is nearer to this host than what the author of a file has thought of.
        words = self._settings.reasons_for(source.name) or occasions.words
        self._occasions[source.name] = Occasions(words, occasions.rehearses)

    def occasions(self, source: Source) -> Occasions:
        """When the hooks of a plugin in use are meant to be called by a run."""
        return self._occasions[source.name]

    def called(self, plugin: str) -> str:
        """A plugin as people know it; see `Source.called`."""
        source = self._sources.get(plugin)
        return source.called if source else f"plugin {plugin!r}"

    def hook_names(self) -> tuple[str, ...]:
        """Every hook, in the order of the specifications."""
        return _hook_names()

    def implementations(self, hook: str) -> list[Implementation]:
        """The implementations of one hook, in firing order."""
        found = [*self._registered(hook), *(one for one in self._extra if one.hook == hook)]
        positions = [one.position for one in found]
        order = firing_order(hook, positions, first=self._settings.first, last=self._settings.last)
        return [found[index] for index in order]

    def _registered(self, hook: str) -> Iterable[Implementation]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        # Taken out and called by us: a caller for each plugin (subset_hook_caller) is 16 times slower, and
        # fails for plugins that cannot be hashed.
        for one in caller.get_hookimpls():
            if one.plugin_name in self.resting and hook not in LOAD_HOOKS:
                continue
            position = Position(self._sources[one.plugin_name], tryfirst=one.tryfirst, trylast=one.trylast)
            # Who is asked for settings or for what is wrong answers for every run.
            occasions = self._occasions[one.plugin_name] if hook in RUN_HOOKS else ALWAYS
            yield Implementation(hook, position, one.function, tuple(one.argnames), occasions)


def _hook_names() -> tuple[str, ...]:
    marker = f"{PROJECT}_spec"
    return tuple(name for name, value in vars(hookspecs).items() if hasattr(value, marker))

"""Finding plugins: entry points of installed distributions (the bundled ones too) and drop-ins."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from lastcall.api.guest_keys import is_kept
from lastcall.api.markers import PROJECT
from lastcall.api.run import PluginOptions
from lastcall.api.shell import GuestShell
from lastcall.api.stopping import StopMethod
from lastcall.config.compose import Vocabulary
from lastcall.config.files import Located
from lastcall.config.guest_settings import LadderStep
from lastcall.config.load import Document
from lastcall.config.settings import Bootstrap, Settings
from lastcall.errors import LastcallError, Problem, in_words
from lastcall.formats.bounded_text import bounded, shown
from lastcall.hooks.dropins import load_dropins
from lastcall.hooks.load_time import IMPORT_TIMEOUT, LoadTime
from lastcall.hooks.registry import Implementation, Registry
from lastcall.hooks.sources import Origin, Source, bundled_alone
from lastcall.hooks.tracing.onlooker import onlooker
from lastcall.options import Options, StepOptions
from lastcall.threads.own_code import OwnCode

if TYPE_CHECKING:
    from importlib import metadata

T = TypeVar("T")
MOST_OFFERS = 100  # stop methods, or guest shells, of one plugin
OfferT = TypeVar("OfferT", StopMethod[Any], GuestShell)
Loader: TypeAlias = Callable[[], object]


class Plugins:
    """The loaded plugins: their hooks (`registry`), options, stop methods and guest shells.

    `silent`: names of those that could not say what they offer.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        given: Mapping[str, object] | None = None,
        load_time: LoadTime | None = None,
        *,
        bundled_only: bool = False,
    ) -> None:
        """Find and load them; `given` are those of a plugin's own tests, by name, instead of what else is installed.

        `bundled_only`: all others are treated as if they were blocked.
        """
        self._timeout = min(IMPORT_TIMEOUT, bootstrap.hooks.timeout)
        self._time = load_time or LoadTime()
        self.registry = Registry(bootstrap.hooks, bundled_only=bundled_only)
        _load_packages(self.registry, self._time, self._timeout, own_only=given is not None)
        for name, plugin in (given or {}).items():
            source = Source(name=name, origin=Origin.PACKAGE, where="given", sort_key=name)
            if self.registry.admits(source):
                self.registry.add(source, plugin)
        load_dropins(bootstrap.paths.hooks, self.registry, self._time, self._timeout)
        self.silent: list[str] = []
        self.options = self._options()
        # Merely installed, one that listens to `post_shutdown` would take of the guests' time.
        self._optional = [name for name, one in self.options.items() if _wants_its_section(one)]
        self.registry.resting = frozenset(self._optional)
        self.methods = self._offers("stop_methods", StopMethod)
        self.shells = self._offers("guest_shells", GuestShell)
        self._time.close()

    @property
    def vocabulary(self) -> Vocabulary:
        """What the plugins add to the configuration."""
        return self.vocabulary_without(frozenset())

    def vocabulary_without(self, names: frozenset[str]) -> Vocabulary:
        """What those add that are not called so."""
        out_of_use = frozenset(source.name for source in (*self.registry.failed, *self.registry.blocked))
        options = {name: one for name, one in self.options.items() if name not in names}
        methods = {name: method for name, (source, method) in self.methods.items() if source.name not in names}
        return Vocabulary(options, methods, out_of_use - self.options.keys())

    def settings(self, document: Document, more: Iterable[Located] = ()) -> Settings:
        """Validate a configuration with what the plugins declare, in bounded time; see `Document.settings`.

        Plugins that want their section set rest until then.
        """
        words, file = self.vocabulary, str(next(iter(document.files), "configuration"))
        settings = self._time.judge(lambda: document.settings(words, more), file)
        self.registry.resting = frozenset(
            name for name in self._optional if getattr(settings.plugins, name, None) is None
        )
        return settings

    def _options(self) -> dict[str, PluginOptions]:
        found: dict[str, PluginOptions] = {}
        for one in self.registry.implementations("plugin_options"):
            options = self._ask(one, partial(_as_options, one.position.source.origin))
            if options is None:
                self.registry.failed.append(one.position.source)  # its sections stay unread
            elif why := _unusable_name(one.position.source, options):
                # Its hooks would go on without what is set for them.
                self.registry.withdraw(
                    one.position.source,
                    f"{one.plugin!r} {why}",
                    "rename the plugin: docs/authors/options.md has the names",
                )
            else:
                found[one.plugin] = options
        return found

    def _offers(self, hook: str, kind: type[OfferT]) -> dict[str, tuple[Source, OfferT]]:
        """What plugins offer by name: drop-in beats package beats bundled; of equals the later one is refused."""
        found: dict[str, tuple[Source, OfferT]] = {}
        ranked = sorted(self.registry.implementations(hook), key=lambda one: -one.position.source.origin)
        for one in ranked:
            offers = self._ask(one, partial(_as_offers, kind))
            if offers is None:
                self.silent.append(one.plugin)
            for offer in offers or ():
                if isinstance(offer, _NoOffer):
                    self._report(one, offer.why)
                else:
                    self._admit(one, offer, found)
        return found

    def _admit(self, one: Implementation, offer: OfferT, found: dict[str, tuple[Source, OfferT]]) -> None:
        if isinstance(offer, StopMethod):
            if not offer.name.isprintable() or offer.name[:1] in {"", "_"} or hasattr(LadderStep, offer.name):
                self._report(one, f"{offer.name!r} cannot be the name of a stop method", "rename it")
                return
            try:
                self._call(one, lambda: _require_model(offer.options, StepOptions, one.position.source.origin))
            except LastcallError as error:  # that method's failure only
                message = f"the options of {offer.name!r} are no model: {error}"
                self._report(one, message, "see lastcall.options.StepOptions", placed=True)
                return
        source, other = one.position.source, found.get(offer.name)
        if other is None:
            found[offer.name] = (source, offer)
        elif other[0].origin == source.origin:
            self._report(one, f"{offer.name!r} is already offered by {other[0].name}", "block one of the two plugins")

    def _ask(self, one: Implementation, convert: Callable[[object], T]) -> T | None:
        """Call an implementation and convert what it returns, both in its time box; None when that fails."""
        looked_at = onlooker().loading(one.hook, one.plugin)
        try:
            answer = self._call(one, looked_at.watching(lambda: convert(one.function()), {}))
        except LastcallError as error:  # that plugin's failure only
            looked_at.ended(f"failed: {error}", failed=True)
            self._report(one, str(error), error.remedy, placed=True)
            return None
        looked_at.ended()
        return answer

    def _call(self, one: Implementation, work: Callable[[], T]) -> T:
        return self._time.call(one.position.source, work, one.own, self._timeout)

    def _report(self, one: Implementation, message: str, remedy: str = "", *, placed: bool = False) -> None:
        # Nothing was raised: what is offered is wrong, and where that is done can be told.
        message = message if placed or not one.own.definition else f"{message}, {one.own.definition}"
        remedy = remedy or f"mend it, or add {one.plugin} to hooks.block"
        where = f"{one.plugin} ({one.position.source.where})"
        self.registry.report(
            Problem(what="plugin", where=where, message=bounded(f"{one.hook}: {message}"), remedy=remedy)
        )


def _unusable_name(source: Source, options: PluginOptions) -> str:
    """Why a plugin that has these options cannot be called as it is; nothing where it can."""
    # As a field, `copy` or `model_config` would take the place of what every model has.
    if hasattr(BaseModel, source.name) and (options.settings or options.guest):
        return "cannot be the name of a section"
    if options.guest and is_kept(source.name) and source.origin is not Origin.BUNDLED:
        return "is kept for a guest key of lastcall itself"
    return ""


def _wants_its_section(options: PluginOptions) -> bool:
    return bool(options.only_where_set and options.settings and not options.guest)


def _as_options(origin: Origin, answer: object) -> PluginOptions:
    if answer is None:
        return PluginOptions()
    if not isinstance(answer, PluginOptions):
        raise TypeError(f"returned {shown(answer)}")
    for model in (answer.settings, answer.guest):
        if model is not None:
            _require_model(model, Options, origin)
    return answer


def _require_model(model: object, base: type[Options], origin: Origin) -> None:
    """Raise for what is no usable model: one that cannot be built would spoil everybody's configuration."""
    if not (isinstance(model, type) and issubclass(model, base)):
        raise TypeError(f"{shown(cast('object', model))} is no subclass of {base.__name__}")
    if origin is not Origin.BUNDLED:  # of ours it is known, and each of them takes as long to build as to import
        model.model_rebuild()


class _NoOffer:
    """What a plugin offers that is of no use, and why."""

    def __init__(self, why: str) -> None:
        self.why = why


def _as_offers(kind: type[OfferT], answer: object) -> Sequence["OfferT | _NoOffer"]:
    """Read here, inside the time box; a generator that never ends is no offer."""
    if answer is None:
        return ()
    if isinstance(answer, Iterable) and not isinstance(answer, str | bytes):
        offers = list(islice(cast("Iterable[object]", answer), MOST_OFFERS + 1))
        if len(offers) > MOST_OFFERS:
            raise LastcallError(f"offers more than {MOST_OFFERS}")
        return [_as_offer(kind, offer) for offer in offers]
    raise TypeError(f"returned {bounded(shown(answer))}")


def _as_offer(kind: type[OfferT], offer: object) -> "OfferT | _NoOffer":
    try:
        if isinstance(offer, kind) and isinstance(getattr(offer, "name", None), str):
            return offer
        return _NoOffer(f"offers {bounded(shown(offer))}, which is no {kind.__name__} with a name")
    except Exception as error:  # noqa: BLE001  a property of what it offers raised
        return _NoOffer(f"what it offers cannot be read: {in_words(error)}")


def _load_packages(registry: Registry, time: LoadTime, timeout: float, *, own_only: bool = False) -> None:
    # Entry points come as the file system lists them: unsorted, of two plugins with one name another one would be
    # refused on another host.
    for source, load in sorted(_found(registry), key=lambda pair: (pair[0].origin, pair[0].sort_key)):
        if own_only and source.origin is not Origin.BUNDLED:
            continue
        if not source.well_named:
            registry.refuse(
                source, "not a usable plugin name", "its entry point needs lower-case letters, digits and _"
            )
            continue
        if not registry.admits(source):
            continue
        try:
            # An import may wait for a network that is down by now; its worker is left to it, and the others are loaded.
            plugin = time.call(source, load, OwnCode(_top_level(load)), timeout)
        except LastcallError as error:  # one that cannot be imported is that plugin's failure only
            registry.refuse(source, f"cannot be imported: {error}", error.remedy or _reinstall(source))
        else:
            registry.add(source, plugin)


def _top_level(load: Loader) -> str:
    """The package that is being imported: which of it is a namespace is not known before."""
    point = getattr(load, "__self__", None)
    return str(getattr(point, "module", "lastcall_plugins")).partition(".")[0]


def _found(registry: Registry) -> list[tuple[Source, Loader]]:
    """The plugins of installed distributions, not loaded yet."""
    bundled = bundled_alone()
    if bundled is not None:
        return [(_bundled(name), partial(importlib.import_module, module)) for name, module in bundled.items()]
    from importlib import metadata

    names: dict[int, str] = {}  # by the identity of the distribution: each asking reads and parses its whole METADATA
    try:
        # By ourselves: pluggy's load_setuptools_entrypoints ends at the first entry point that is broken, and no plugin
        # behind it is loaded.
        points = metadata.entry_points(group=PROJECT)
        return [(_source(point, _distribution(point, names)), point.load) for point in points]
    # The files of any distribution that is installed may be damaged, and would cost us our own stop methods as well.
    except Exception:  # noqa: BLE001
        return _found_one_by_one(registry)


def _found_one_by_one(registry: Registry) -> list[tuple[Source, Loader]]:
    from importlib import metadata

    found: dict[str, list[tuple[Source, Loader]]] = {}
    for distribution in metadata.distributions():
        name = ""
        try:
            name = distribution.name
            points = distribution.entry_points.select(group=PROJECT)
            # The first of a name is the one that is imported.
            found.setdefault(name, [(_source(point, name), point.load) for point in points])
        except Exception as error:  # noqa: BLE001  that distribution's plugins only
            where = f"{name or 'a distribution'} in {distribution.locate_file('')}"
            message = f"its entry points cannot be read: {in_words(error)}"
            registry.report(Problem(what="plugin", where=where, message=message, remedy="reinstall it"))
    return [one for several in found.values() for one in several]


def _distribution(point: "metadata.EntryPoint", names: dict[int, str]) -> str:
    """The name of the distribution that an entry point comes from."""
    if point.dist is None:
        return "?"
    if id(point.dist) not in names:
        names[id(point.dist)] = point.dist.name
    return names[id(point.dist)]


def _source(point: "metadata.EntryPoint", distribution: str) -> Source:
    if distribution == PROJECT and point.value.startswith("lastcall_plugins."):
        return _bundled(point.name)
    return Source(
        name=point.name,
        origin=Origin.PACKAGE,
        where=f"{distribution} {point.dist.version if point.dist else ''}".strip(),
        sort_key=f"{point.name} {distribution}",
    )


def _bundled(name: str) -> Source:
    return Source(name=name, origin=Origin.BUNDLED, where="bundled", sort_key=f"{name} {PROJECT}")


def _reinstall(source: Source) -> str:
    package = PROJECT if source.origin is Origin.BUNDLED else source.where
    return f"reinstall {package}, or add {source.name} to hooks.block"

"""Drop-ins in `hooks.d/`: Python modules, and executables in a folder named like a hook."""

import inspect
import os
import re
import stat
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from lastcall.api.markers import PROJECT
from lastcall.errors import LastcallError, Problem, Severity, in_words
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.reading import Unreadable, Untrusted, open_trusted, read_bytes, read_start
from lastcall.hooks.load_time import LoadTime
from lastcall.hooks.occasions.occasions import Occasions
from lastcall.hooks.refusals.interpreters import obstacle
from lastcall.hooks.registry import Registry
from lastcall.hooks.sources import NUMBER, Origin, Source
from lastcall.threads.own_code import OwnCode

# What editors and package managers leave beside a file: an old version of a hook would fire as well.
_LEFTOVER = re.compile(r"^\..*|.*(~|\.bak|\.orig|\.rej|\.swp|\.dpkg-[a-z-]+|\.rpm[a-z]+|\.ucf-[a-z]+)$")
_LONGEST_MODULE = 4 << 20  # bytes
_EXECUTABLE_HOOKS = frozenset({
    "pre_shutdown", "on_guest_stop", "on_guest_stopped", "post_shutdown",
    "pre_restore", "on_guest_start", "guest_ready", "on_guest_started", "post_restore", "guest_busy", "guest_waits",
    "pre_sleep", "post_wake",
})  # fmt: skip


def load_dropins(folder: Path, registry: Registry, time: LoadTime, timeout: float) -> None:
    """Load every drop-in of the folder into the registry; a missing folder means no drop-ins. Raises nothing."""
    for path in _entries(folder, registry):
        if path.suffix == ".py" and not path.is_dir():
            _load_module(path, registry, time, timeout)
        elif path.is_dir():
            _load_executables(path, registry)
        elif os.access(path, os.X_OK):
            remedy = f"put it into {folder}/<hook>/, for example {folder}/pre_shutdown/{path.name}"
            registry.report(
                Problem(what="plugin", where=str(path), message="an executable outside a hook's folder", remedy=remedy)
            )


def _entries(folder: Path, registry: Registry) -> Iterator[Path]:
    try:
        descriptor = open_trusted(folder, folder=True)
    except FileNotFoundError:
        return
    except OSError as error:
        registry.report(_refused(folder, error))
        _leave_unread(folder, registry)
        return
    try:
        names = sorted(os.listdir(descriptor))  # noqa: PTH208  the folder that was checked, not the one of that name
    finally:
        os.close(descriptor)
    yield from (folder / name for name in names if not _LEFTOVER.match(name) and name != "__pycache__")


def _leave_unread(folder: Path, registry: Registry) -> None:
    """Note the drop-ins of a folder that is not trusted. They are not run; their sections of the configuration must not
    count as misspelt all the same, or a folder's mode would cost a host stop the whole configuration.
    """
    registry.unseen.append(str(folder))
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  the names, as everywhere here
    except OSError:
        return
    paths = [folder / name for name in names if name.endswith(".py") and not _LEFTOVER.match(name)]
    registry.failed += [source for source in map(_module_source, paths) if source.well_named]


def _load_module(path: Path, registry: Registry, time: LoadTime, timeout: float) -> None:
    source = _module_source(path)
    if not source.well_named:
        registry.refuse(source, "not a usable plugin name", "name it NN-name.py, of lower-case letters, digits and _")
    elif registry.admits(source):
        try:
            # What was checked is what is run: read by name again, it could be another file by then.
            code = read_bytes(path, _LONGEST_MODULE, trusted=True)
            # Within a limit: an import that waits for something would hold up a host stop before it has begun.
            own = OwnCode(f"lastcall_dropin_{source.name}")
            module = time.call(source, lambda: _module(source.name, path, code), own, timeout)
            # Python is called in rehearsals whatever its header says: it has `run.rehearsal` to look at.
            words = _occasions(code, path, registry).words
            known = len(registry.problems)
            registry.add(source, module, Occasions(words))
            # Where something is wrong with its hooks that has been told.
            if len(registry.problems) == known and not _has_hooks(module):
                registry.report(_without_hooks(path))
        except LastcallError as error:  # whatever its import raises is this drop-in's failure only
            registry.refuse(source, str(error), error.remedy or f"mend it, or add {source.name} to hooks.block")
        except OSError as error:
            registry.refuse(source, _why(error), getattr(error, "remedy", ""))


def _has_hooks(module: types.ModuleType) -> bool:
    things = [one.__func__ if type(one) is types.MethodType else one for one in list(vars(module).values())]
    # Past what an object answers by itself: some have every attribute, and others raise.
    return any(inspect.getattr_static(one, f"{PROJECT}_impl", None) is not None for one in things)


def _without_hooks(path: Path) -> Problem:
    message = "has no hook, so that nobody ever calls it"
    remedy = "write `@lastcall.hookimpl` above a function that is called like a hook, or remove it"
    return Problem(what="plugin", where=str(path), message=message, remedy=remedy, severity=Severity.WARNING)


def _module_source(path: Path) -> Source:
    name = NUMBER.sub("", path.stem).replace("-", "_")
    return Source(name=name, origin=Origin.DROPIN, where=str(path), sort_key=path.name)


def _module(name: str, path: Path, code: bytes) -> types.ModuleType:
    module = types.ModuleType(f"lastcall_dropin_{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pydantic look their module up there
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)  # noqa: S102  running it is what a drop-in is for
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _load_executables(folder: Path, registry: Registry) -> None:
    hook = folder.name
    if hook not in _EXECUTABLE_HOOKS:
        registry.report(_no_folder_of_a_hook(folder, registry))
        return
    from lastcall.hooks.executables import executable_hook

    for path in _entries(folder, registry):
        source = Source(name=f"{hook}/{path.name}", origin=Origin.DROPIN, where=str(path), sort_key=path.name)
        if not registry.admits(source):
            continue
        try:
            start = _start_of_executable(path, registry.search_path)
        except OSError as error:
            registry.refuse(source, _why(error), getattr(error, "remedy", ""))
        else:
            registry.add_function(source, hook, executable_hook(path, hook), _occasions(start, path, registry, hook))


def _no_folder_of_a_hook(folder: Path, registry: Registry) -> Problem:
    hook, known = folder.name, ", ".join(sorted(_EXECUTABLE_HOOKS))
    if hook in registry.hook_names():
        message = f"{hook} is a hook for Python only: an executable could neither be given what it takes, nor answer"
        remedy = f"write {folder.parent}/NN-name.py with a function {hook}; executables can serve {known}"
        return Problem(what="plugin", where=str(folder), message=message, remedy=remedy)
    message = f"no hook is called {hook!r}{did_you_mean(hook, _EXECUTABLE_HOOKS)}"
    return Problem(what="plugin", where=str(folder), message=message, remedy=f"hooks: {known}")


def _start_of_executable(path: Path, search: str) -> bytes:
    """Its first bytes. Raises OSError for what may not be run, or could not be."""
    from lastcall.hooks.occasions.header import LONGEST_START

    descriptor = open_trusted(path)
    try:
        if not os.fstat(descriptor).st_mode & stat.S_IXUSR:
            raise Untrusted(path, "is not executable", f"chmod u+x {path}")
        start = read_start(descriptor, LONGEST_START)
        found = obstacle(path, start, search)
        if found:
            raise Untrusted(path, *found)
        return start
    finally:
        os.close(descriptor)


def _occasions(start: bytes, path: Path, registry: Registry, hook: str = "") -> Occasions:
    """When a drop-in is meant to run; what is wrong with its header is reported."""
    from lastcall.hooks.occasions.header import LONGEST_START, read_header  # here: most hosts have no drop-ins

    occasions, problems = read_header(start[:LONGEST_START], path, hook)
    for problem in problems:
        registry.report(problem)
    return occasions


def _refused(path: Path, error: Exception) -> Problem:
    return Problem(
        what="plugin", where=str(path), message=f"not run: {_why(error)}", remedy=getattr(error, "remedy", "")
    )


def _why(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}: {error.filename}" if error.filename else error.strerror.lower()
    return in_words(error)

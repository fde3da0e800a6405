"""Values: classes of a few fields that never change, made cheaply; and beside them such whose fields do change.

A program that runs once, at the worst moment, pays for every class it defines: a frozen dataclass with slots costs half
a millisecond, as five methods are composed as text and compiled for it. Here one is, and only where more than a few
values are made: of most classes a run makes none, or two. The others are shared. That nobody assigns to a field is what
the type checker holds; what plugin authors get into their hands (lastcall.api) is `frozen` at run time, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, make_dataclass
from functools import partial
from typing import Any, TypeVar, dataclass_transform, overload

ClassT = TypeVar("ClassT", bound=type)
_BY_HAND = 8  # values; to fill in as many takes as long as to compose what does it quicker
_put = object.__setattr__


@overload
def value(made: ClassT, /) -> ClassT: ...
@overload
def value(*, kw_only: bool = False, frozen: bool = False) -> Callable[[ClassT], ClassT]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(made: Any = None, /, *, kw_only: bool = False, frozen: bool = False) -> Any:
    """Make a class a value: a dataclass, compared and hashed by its fields."""

    def make(plain: Any) -> Any:
        # Two methods are composed for `frozen`: only where it is derived from one that is, as else it is refused.
        strict = frozen and hasattr(plain, "__dataclass_params__")
        shared = _with_fields(plain, kw_only=kw_only, frozen=strict)
        shared.__init__ = _LateInit(shared, frozen=frozen)
        shared.__eq__, shared.__hash__, shared.__repr__ = _equals, _hashed, _shown
        shared.__compared__ = tuple(one.name for one in fields(shared) if one.compare)
        if frozen:
            shared.__dataclass_params__.frozen = True  # for classes that are derived from it
            shared.__setattr__, shared.__delattr__ = _not_assigned, _not_deleted
            shared.__getstate__, shared.__setstate__ = _state, _restored
        return shared

    return make if made is None else make(made)


@overload
def changing(made: ClassT, /) -> ClassT: ...
@overload
def changing(*, kw_only: bool = False) -> Callable[[ClassT], ClassT]: ...
@dataclass_transform(field_specifiers=(field,))
def changing(made: Any = None, /, *, kw_only: bool = False) -> Any:
    """Make a class one of fields that change, as cheaply: each of its objects is nobody's equal."""

    def make(plain: Any) -> Any:
        shared = _with_fields(plain, kw_only=kw_only, frozen=False)
        shared.__init__ = _LateInit(shared, frozen=False)
        return shared

    return make if made is None else make(made)


def _with_fields(plain: Any, *, kw_only: bool, frozen: bool) -> Any:
    """A dataclass without a method of its own."""
    # Whoever says nothing of itself would be described by its signature, which takes longer than all the rest.
    plain.__doc__ = plain.__doc__ or plain.__name__
    return dataclass(slots=True, eq=False, repr=False, init=False, kw_only=kw_only, frozen=frozen)(plain)


class _LateInit:
    """The `__init__` of a class: by hand for the first few, then composed, and from then on in its own place."""

    def __init__(self, made: Any, *, frozen: bool) -> None:
        self._made, self._frozen = made, frozen
        self._fields: Sequence[Field[Any]] = fields(made)
        self._plain = [one.name for one in self._fields if not one.kw_only]
        self._left = _BY_HAND

    def __get__(self, one: Any, _kind: Any = None) -> Any:
        if one is not None and self._left > 0:
            self._left -= 1
            return partial(self._fill, one)
        init = self._made.__init__ = _init_of(self._made, frozen=self._frozen)
        return init if one is None else init.__get__(one)

    def _fill(self, one: Any, *given: Any, **named: Any) -> None:
        left = named | dict(zip(self._plain, given, strict=False))
        if len(left) == len(given) + len(named):  # none is given twice, and none of no field by its place
            for each in self._fields:
                if each.name in left:
                    put = left.pop(each.name)
                elif each.default is not MISSING:
                    put = each.default
                elif each.default_factory is not MISSING:
                    put = each.default_factory()
                else:
                    break
                _put(one, each.name, put)
            else:
                if not left:
                    return
        _init_of(self._made, frozen=self._frozen)(one, *given, **named)  # which says what is wrong


def _init_of(made: Any, *, frozen: bool) -> Any:
    """What a dataclass of these fields has, composed by the standard library."""
    anew: Any = field  # its overloads know nothing of a default that may be missing
    given = [
        (one.name, one.type, anew(default=one.default, default_factory=one.default_factory, kw_only=one.kw_only))
        for one in fields(made)
    ]
    names: dict[str, Any] = {"__doc__": made.__name__}  # see `_with_fields`
    init: Any = make_dataclass(made.__name__, given, namespace=names, eq=False, repr=False, frozen=frozen).__init__
    init.__qualname__, init.__module__ = f"{made.__qualname__}.__init__", made.__module__
    return init


def _compared(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in one.__compared__)


def _equals(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hashed(self: Any) -> int:
    return hash(_compared(self))


def _shown(self: Any) -> str:
    told = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__name__}({told})"


def _not_assigned(_self: Any, name: str, _given: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _not_deleted(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in fields(self)]


def _restored(self: Any, state: list[Any]) -> None:
    for one, given in zip(fields(self), state, strict=False):
        object.__setattr__(self, one.name, given)

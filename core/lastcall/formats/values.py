"""Values: classes of a few fields that never change, made cheaply.

A program that runs once, at the worst moment, pays for every class it defines: a frozen dataclass with slots costs half
a millisecond, as five methods are composed as text and compiled for it. Here one is, and the others are shared. That
nobody assigns to a field is what the type checker holds; what plugin authors get into their hands (lastcall.api) is
`frozen` at run time, too, for two more methods a class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform, overload

ClassT = TypeVar("ClassT", bound=type)


@overload
def value(made: ClassT, /) -> ClassT: ...
@overload
def value(*, kw_only: bool = False, frozen: bool = False) -> Callable[[ClassT], ClassT]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(made: Any = None, /, *, kw_only: bool = False, frozen: bool = False) -> Any:
    """Make a class a value: a dataclass, compared and hashed by its fields."""

    def make(plain: Any) -> Any:
        shared = dataclass(slots=True, eq=False, repr=False, kw_only=kw_only, frozen=frozen)(plain)
        shared.__eq__, shared.__hash__, shared.__repr__ = _equals, _hashed, _shown
        shared.__compared__ = tuple(one.name for one in fields(shared) if one.compare)
        return shared

    return make if made is None else make(made)


def _compared(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in one.__compared__)


def _equals(self: Any, other: object) -> Any:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hashed(self: Any) -> int:
    return hash(_compared(self))


def _shown(self: Any) -> str:
    told = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__name__}({told})"

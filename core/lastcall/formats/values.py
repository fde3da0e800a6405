"""Values: classes of a few fields that never change, made cheaply.

A program that runs once, at the worst moment, pays for every class it defines: a frozen dataclass with slots costs half
a millisecond, as five methods are composed as text and compiled for it. Here one is, and the others are shared. That
nobody assigns to a field is what the type checker holds; at run time nothing stands in the way. What plugin authors
get into their hands (lastcall.api) is frozen at run time, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform, overload

ClassT = TypeVar("ClassT", bound=type)


@overload
def value(made: ClassT, /) -> ClassT: ...
@overload
def value(*, kw_only: bool = False) -> Callable[[ClassT], ClassT]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(made: Any = None, /, *, kw_only: bool = False) -> Any:
    """Make a class a value: a dataclass with slots, compared and hashed by its fields."""

    def make(plain: Any) -> Any:
        slotted = dataclass(slots=True, eq=False, repr=False, kw_only=kw_only)(plain)
        slotted.__eq__, slotted.__hash__, slotted.__repr__ = _equals, _hashed, _shown
        return slotted

    return make if made is None else make(made)


def _fields(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in one.__dataclass_fields__)


def _equals(self: Any, other: object) -> Any:
    return _fields(self) == _fields(other) if type(other) is type(self) else NotImplemented


def _hashed(self: Any) -> int:
    return hash(_fields(self))


def _shown(self: Any) -> str:
    told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
    return f"{type(self).__name__}({told})"

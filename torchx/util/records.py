"""A ``dataclass`` that is cheap to define.

``dataclass`` writes and compiles ``__repr__`` and ``__eq__`` anew for each class, which is most of
what it costs, and programs that print a status define dozens. Here they are shared.
"""

from __future__ import annotations

import dataclasses
import reprlib
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["record"]

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(cls: type[T]) -> type[T]:
        """Does what ``dataclasses.dataclass`` does with its default arguments.

        Args:
            cls: A class with annotated fields.

        Returns:
            The same class.
        """
        own = vars(cls)
        if "__repr__" not in own:
            cls.__repr__ = _repr
        if "__eq__" not in own:
            cls.__eq__ = _eq
            if "__hash__" not in own:
                cls.__hash__ = None
        return dataclasses.dataclass(cls, repr=False, eq=False)


@reprlib.recursive_repr()
def _repr(self: object) -> str:
    shown = (field.name for field in dataclasses.fields(self) if field.repr)  # type: ignore[arg-type] # of a record
    return f"{type(self).__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})"


def _eq(self: object, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    names = [field.name for field in dataclasses.fields(self) if field.compare]  # type: ignore[arg-type] # of a record
    own = [getattr(self, name) for name in names]
    others = [getattr(other, name) for name in names]
    return own == others

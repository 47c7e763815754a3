"""Names for interchangeable parts: one dictionary per seam, errors that list the choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from aligner.errors import SettingError

T = TypeVar("T")


class Registry(Generic[T]):
    """A named set of parts of one kind.

    Parameters
    ----------
    kind : str
        What the parts are called in messages, such as "format".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a part under a name."""

        def add(part: T) -> T:
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> T:
        try:
            return self._parts[name]
        except KeyError:
            raise SettingError(f"unknown {self.kind} {name!r}: choose one of {', '.join(self)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parts))

    def __contains__(self, name: object) -> bool:
        return name in self._parts

"""Reads JSON that a person may have edited: each field by its type, each error by its place."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from VQBEGALLib.errors import StudyError

REMEDY = "Restore the file from a copy of the study."


class Fields:
    """Reads the fields of a JSON object by type; every error names the place and the field.

    Args:
        data: what was read; anything but an object is refused.
        where: file and place in it.

    Raises:
        StudyError: ``data`` is not an object, or a field is missing or of another kind.
    """

    def __init__(self, data: object, where: str) -> None:
        self._where = where
        if not isinstance(data, Mapping):
            raise StudyError(f"{where} is not a table of names and values.", REMEDY)
        self._data = data

    def has(self, name: str) -> bool:
        """Tell whether the field is there and not null."""
        return self._data.get(name) is not None

    def value(self, name: str) -> Any:
        """Return the field as it is."""
        if name not in self._data:
            raise StudyError(f"{self._where}: {name} is missing.", REMEDY)
        return self._data[name]

    def wrong(self, name: str) -> StudyError:
        """Return the error that says that a field is nonsense."""
        shown = repr(self._data.get(name))
        return StudyError(f"{self._where}: {name} is {shown[:60]}{'…' if len(shown) > 60 else ''}.", REMEDY)

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self.value(name)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name)
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of several words."""
        value = self.text(name)
        if value not in choices:
            raise self.wrong(name)
        return value

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise self.wrong(name)
        return value

    def whole(self, name: str, low: int) -> int:
        """Return a whole number of at least ``low``."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**63:
            raise self.wrong(name)
        return value

    def number(self, name: str) -> float:
        """Return a finite number."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
            raise self.wrong(name)
        return float(value)

    def items(self, name: str) -> list[Any]:
        """Return a list."""
        value = self.value(name)
        if not isinstance(value, list):
            raise self.wrong(name)
        return value

    def numbers(self, name: str, count: int, *, whole: bool = False) -> tuple[float, ...]:
        """Return a list of exactly ``count`` finite numbers."""
        values = self.items(name)
        if len(values) != count:
            raise self.wrong(name)
        parts = [Fields({name: value}, self._where) for value in values]
        return tuple(part.whole(name, 0) if whole else part.number(name) for part in parts)

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object of free content."""
        value = self.value(name)
        if not isinstance(value, dict):
            raise self.wrong(name)
        return value

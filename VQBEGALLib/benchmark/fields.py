"""Reads the parts of a plan by type; every error names the part, and what is not known is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from VQBEGALLib.errors import InputError

REMEDY = "docs/BENCHMARK.md shows a plan."


class Fields:
    """One table of a plan.

    Args:
        data: names and values.
        where: the table's name in errors.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{where} is not a table.", REMEDY)
        self.where = where
        self._left = dict(data)

    def close(self) -> None:
        """Refuse names that nobody asked for.

        Raises:
            InputError: there are some.
        """
        if self._left:
            raise InputError(f"{self.where} has unknown entries: {', '.join(sorted(self._left))}.", REMEDY)

    def text(self, name: str, default: str) -> str:
        """Return a text."""
        value = self._left.pop(name, default)
        return value if isinstance(value, str) else self._refuse(name, "a text")

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        value = self._left.pop(name, default)
        return float(value) if is_number(value) else self._refuse(name, "a number")

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of texts."""
        values = self._left.pop(name, list(default))
        right = isinstance(values, list) and all(isinstance(each, str) for each in values)
        return tuple(values) if right else self._refuse(name, "a list of texts")

    def choices(self, name: str, choices: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of words out of those there are, each once."""
        found = self.texts(name, default)
        if not found or set(found) - set(choices) or len(set(found)) < len(found):
            self._refuse(name, f"a list out of {', '.join(choices)}, each once")
        return found

    def numbers(self, name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """Return a list of numbers."""
        values = self._left.pop(name, list(default))
        right = isinstance(values, list) and all(map(is_number, values))
        return tuple(map(float, values)) if right else self._refuse(name, "a list of numbers")

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a table as it is; empty where it is missing."""
        value = self._left.pop(name, {})
        return dict(value) if isinstance(value, Mapping) else self._refuse(name, "a table")

    def table(self, name: str) -> Fields:
        """Return a table within; empty where it is missing."""
        return Fields(self._left.pop(name, {}), f"The plan's {name}")

    def tables(self, name: str) -> list[Fields]:
        """Return a list of tables within."""
        values = self._left.pop(name, [])
        if not isinstance(values, list):
            self._refuse(name, f"a list of tables; write [[{name}]]")
        return [Fields(value, f"Number {index + 1} of the plan's {name}") for index, value in enumerate(values)]

    def named_tables(self, name: str) -> Iterator[tuple[str, Fields]]:
        """Yield the tables within a table, by name."""
        for key, value in self.mapping(name).items():
            yield key, Fields(value, f"The plan's {name}.{key}")

    def _refuse(self, name: str, wanted: str) -> Any:
        raise InputError(f"{self.where}: {name} is not {wanted}.", REMEDY)


def is_number(value: object) -> bool:
    """Tell whether a value of TOML is a number; truth is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)

"""What a section of settings is: a frozen dataclass whose fields carry a text and a range, checked when built."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from VQBEGALLib.errors import InputError

T = TypeVar("T")


def setting(default: T, doc: str, *, low: float = -math.inf, high: float = math.inf) -> T:
    """Declare a field with its text and, for numbers, its inclusive range."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Section:
    """Checks its fields against their types, choices and ranges when built."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):
            value = checked(item.name, getattr(self, item.name), hints[item.name], item.metadata)
            object.__setattr__(self, item.name, value)


def describe_sections(
    sections: Mapping[str, type[Section]], presets: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return one row a setting: section, name, type, choices, range, text, and what each preset makes of it."""
    rows = []
    for section, kind in sections.items():
        hints = typing.get_type_hints(kind)
        for item in dataclasses.fields(kind):
            hint = hints[item.name]
            choice = typing.get_origin(hint) is Literal
            rows.append(
                {
                    "section": section,
                    "section_doc": (kind.__doc__ or "").strip(),
                    "name": item.name,
                    "choices": list(typing.get_args(hint)) if choice else None,
                    "type": "choice" if choice else getattr(hint, "__name__", str(hint)),
                    "low": item.metadata["low"],
                    "high": item.metadata["high"],
                    "doc": item.metadata["doc"],
                    "presets": {name: values[section][item.name] for name, values in presets.items()},
                }
            )
    return rows


def parsed(name: str, text: str, hint: Any) -> object:
    """Turn the text of ``--set`` into a value of the setting's type."""
    try:
        if hint is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if hint is int or hint is float:
            return hint(text)
        if typing.get_origin(hint) is tuple:
            return [float(part) for part in text.split(",")]
    except (ValueError, KeyError):
        kind = {bool: "true or false", int: "a whole number", float: "a number"}.get(
            hint, "numbers separated by commas"
        )
        raise InputError(f"{name} is {text!r}.", f"Give {kind}.") from None
    return text


def checked(name: str, value: object, hint: Any, limits: Mapping[Any, Any]) -> object:
    """Return a setting's value in its declared type, or say why it does not fit."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise InputError(f"{name} is {value!r}.", f"Choose one of {', '.join(map(str, choices))}.")
        return value
    if typing.get_origin(hint) is tuple:
        length = len(typing.get_args(hint))
        if not isinstance(value, (list, tuple)) or len(value) != length:
            raise InputError(f"{name} is {value!r}.", f"Give {length} numbers.")
        return tuple(checked(name, part, float, limits) for part in value)
    if hint is bool:
        if not isinstance(value, bool):
            raise InputError(f"{name} is {value!r}.", "Choose true or false.")
        return value
    if hint is str:
        if not isinstance(value, str):
            raise InputError(f"{name} is {value!r}.", "Give a text.")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float) if hint is float else int):
        raise InputError(f"{name} is {value!r}.", f"Give a {'whole ' if hint is int else ''}number.")
    try:
        number = typing.cast(float, hint(value))
    except OverflowError:
        number = math.inf
    if not limits["low"] <= number <= limits["high"] or not math.isfinite(number):
        raise InputError(f"{name} is {value}.", f"Choose a value from {limits['low']:g} to {limits['high']:g}.")
    return number

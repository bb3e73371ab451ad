"""What the application's objects offer, read from a running one; what the panel uses is held against it.

The list lies beside the repository (``../shared/slicer_api.json``) and need not be there.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import pythonqt

LIST = Path(__file__).parents[3] / "shared" / "slicer_api.json"
_OBJECTS = {
    "qSlicerApplication": "slicer.app",
    "qSlicerLayoutManager": "layoutManager",
    "qSlicerMainWindow": "mainWindow()",
    "qSlicerLoadableModule": "modules.segmenteditor",
    "qSlicerScriptedLoadableModule": "modules.segmenteditor",
}
"""Classes that the list has by an object of theirs."""

NOT_LISTED = {
    "name",  # slicer.util relies on it; dir() does not show it
    "exec_",  # PythonQt takes an underscore off the end
    "raise_",
    "singleShot",
}


@functools.lru_cache(maxsize=1)
def _entries() -> dict[str, dict]:
    known = json.loads(LIST.read_text(encoding="utf-8"))
    return {**known["classes"], **known["objects"]}


@functools.cache
def names(key: str) -> frozenset[str] | None:
    """Return the names of a class or an object, callables with ``()``; None where the list lacks it."""
    entry = _entries().get(key)
    if entry is None:
        return None
    own = {name for value in entry.values() if isinstance(value, list) for name in value}
    return frozenset(own | (names(entry["extends"]) if "extends" in entry else set()))


def names_of(cls: type) -> frozenset[str] | None:
    """Return the names of a Qt, ctk or qMRML class; None where the list lacks it."""
    keys = (_OBJECTS.get(cls.__name__, ""), *(f"{kit}.{cls.__name__}" for kit in ("qt", "ctk", "slicer")))
    return next((found for key in keys if (found := names(key)) is not None), None)


def offers(known: frozenset[str], name: str) -> bool:
    """Tell whether a name is in a list, as a property or a callable."""
    return name in known or f"{name}()" in known or name in NOT_LISTED or name.startswith("__")


def watch(folder: Path) -> None:
    """Refuse, from now on, to code in a folder what the application's Qt objects do not offer."""
    start = str(folder)

    def check(item: object, name: str) -> None:
        if sys._getframe(2).f_code.co_filename.startswith(start) and not pythonqt.is_derived(type(item)):
            known = names_of(type(item))
            if known is not None and not offers(known, name):
                raise AttributeError(f"In the application {type(item).__name__} has no attribute {name}.")

    pythonqt.watcher = check

"""The module ``qt`` of the application: Qt's classes with PythonQt's accent, and its loader of .ui files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pythonqt
from PySide6 import QtCore, QtUiTools, QtWidgets

pythonqt.install()

_ABSENT = {"QThread", "QTest", "QObjectCleanupHandler"}
for _module in pythonqt.MODULES:
    globals().update(
        {name: getattr(_module, name) for name in dir(_module) if name.startswith("Q") and name not in _ABSENT}
    )

_QT_WIDGETS = {item.__name__ for item in pythonqt.classes() if issubclass(item, QtWidgets.QWidget)}


class QUiLoader(QtUiTools.QUiLoader):
    """Loads .ui files with the application's own widgets, their properties and the connections between them."""

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Build the widgets of a .ui file.

        Raises:
            NotImplementedError: the file has a widget that the host lacks.
        """
        root = ET.fromstring(bytes(device.readAll().data()))
        for element in root.iter("widget"):
            self._register(element.get("class", ""))
        later = _take_properties(root)
        connections = [
            tuple(item.findtext(tag) for tag in ("sender", "signal", "receiver", "slot"))
            for item in root.iterfind("connections/connection")
        ]
        for part in root.findall("connections"):
            root.remove(part)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        widget = super().load(buffer, parent)
        named = {item.objectName: item for item in (widget, *widget.findChildren(QtCore.QObject))}
        for name, attribute, value in later:
            setattr(named[name], attribute, value)
        for sender, signal, receiver, slot in connections:
            target = getattr(named[receiver], slot.partition("(")[0])
            named[sender].connect(signal, target)
        return widget

    def _register(self, name: str) -> None:
        if name in _own_classes():
            self.registerCustomWidget(_own_classes()[name])
        elif name not in _QT_WIDGETS and name != "Line":
            raise NotImplementedError(f"The stand-in host has no {name}; add it to Testing/host or use another widget.")


def _own_classes() -> dict[str, type]:
    return {item.__name__: item for item in pythonqt.OWN}


def _take_properties(root: ET.Element) -> list[tuple[str, str, Any]]:
    """Take the properties of the application's own widgets out of the file: (widget, property, value)."""
    taken = []
    for widget in root.iter("widget"):
        cls = _own_classes().get(widget.get("class", ""))
        for item in widget.findall("property") if cls else []:
            name = item.get("name", "")
            owner = next((base for base in cls.__mro__ if name in vars(base)), None)
            if item.get("stdset") == "0" or (owner and owner.__module__.startswith("PySide6.")):
                continue
            if owner is None:
                raise NotImplementedError(f"{cls.__name__} has no property {name} on the stand-in host.")
            taken.append((widget.get("name"), name, _value(item[0], cls)))
            widget.remove(item)
    return taken


def _value(element: ET.Element, cls: type) -> Any:
    text = (element.text or "").strip()
    readers: dict[str, Callable[[], Any]] = {
        "bool": lambda: text == "true",
        "number": lambda: int(text),
        "double": lambda: float(text),
        "string": lambda: text,
        "cstring": lambda: text,
        "stringlist": lambda: [item.text or "" for item in element],
        "enum": lambda: getattr(cls, text.rpartition("::")[2]),
        "set": lambda: _flags(text, cls),
    }
    return readers[element.tag]()


def _flags(text: str, cls: type) -> Any:
    first, *others = (getattr(cls, item.rpartition("::")[2]) for item in text.split("|"))
    for item in others:
        first |= item
    return first

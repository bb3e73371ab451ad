"""Gives PySide6 the accent of PythonQt, which 3D Slicer uses.

Properties are attributes that are read and set without parentheses, while ``setText()`` or ``isChecked()`` stay
methods; signals connect by signature; an object keeps what is connected to it alive; a misspelt attribute is refused.
Classes that are no QObject keep their methods.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)

METHODS = {"contentsMargins", "sectionsMovable", "sectionsClickable", "singleShot"}
"""Qt's properties that the application has as methods, because a method of the same name was exported later."""

OWN: dict[type, dict[str, str]] = {}
"""The host's own classes, each with those signals that carry MRML objects: the application's signature → its name."""

watcher: Callable[[QtCore.QObject, str], None] | None = None
"""Called with each object and the name of its attribute that is looked up, where set."""

_connections: dict[tuple[int, str], list[tuple[Callable, Any]]] = {}
_callbacks: dict[tuple[str, int], Callable] = {}
_connect, _disconnect = QtCore.QObject.connect, QtCore.QObject.disconnect


def own(signals: dict[str, str] | None = None) -> Callable[[type], type]:
    """Decorate a class of the host: it takes no new attributes either, and its signals connect by signature."""

    def register(cls: type) -> type:
        OWN[cls] = signals or {}
        return cls

    return register


def observe(item: Any, event: Any, call: Callable[[], None]) -> tuple[Any, int]:
    """Call a widget's method on a VTK event as long as the widget lives; return what unobserve() takes.

    The callback is kept: VTK lets Python's garbage collector clear one that only an observed object holds, and crashes.
    """
    method = weakref.WeakMethod(call)

    def on_event(_caller: Any, _event: str) -> None:
        alive = method()
        if alive is not None and shiboken6.isValid(alive.__self__):
            alive()

    tag = item.AddObserver(event, on_event)
    _callbacks[item.GetAddressAsString(""), tag] = on_event
    return item, tag


def unobserve(observed: list[tuple[Any, int]]) -> None:
    """End observations."""
    for item, tag in observed:
        item.RemoveObserver(tag)
        _callbacks.pop((item.GetAddressAsString(""), tag), None)


def classes() -> list[type]:
    """Return Qt's QObject classes, bases first."""
    found = {getattr(module, name) for module in MODULES for name in dir(module) if name.startswith("Q")}
    objects = (item for item in found if inspect.isclass(item) and issubclass(item, QtCore.QObject))
    return sorted(objects, key=lambda item: len(item.__mro__))


def install() -> None:
    """Change Qt's classes, once in a process."""
    for cls in classes():
        _install_properties(cls)
        cls.__setattr__ = _refuse_unknown
        if "__getattribute__" in vars(cls):
            cls.__getattribute__ = _with_connect(cls.__getattribute__)
        if "exec" in vars(cls):
            cls.exec_ = vars(cls)["exec"]
    QtCore.QObject.name = property(QtCore.QObject.objectName.fget, QtCore.QObject.objectName.fset)
    QtCore.QObject.className = lambda self: self.metaObject().className()
    QtCore.QObject.delete = lambda self: shiboken6.delete(self)
    single_shot = QtCore.QTimer.singleShot  # would not keep the object of a method
    QtCore.QTimer.singleShot = staticmethod(lambda msec, call: single_shot(msec, lambda: call()))


def _with_connect(original: Callable) -> Callable:
    """Return an attribute access in which connect and disconnect are ours; PySide6 looks them up in C++."""

    def get(self: QtCore.QObject, name: str) -> Any:
        if watcher is not None:
            watcher(self, name)
        if name == "connect":
            return functools.partial(connect, self)
        if name == "disconnect":
            return functools.partial(disconnect, self)
        return original(self, name)

    return get


def _install_properties(cls: type) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyCount()):
        item = meta.property(index)
        name = item.name()
        own = index >= meta.propertyOffset()
        if name in METHODS or not (own or name in vars(cls)) or isinstance(vars(cls).get(name), property):
            continue
        capital = name[0].upper() + name[1:]
        getter = next(
            (found for read in (name, f"is{capital}", f"has{capital}") if (found := _method(cls, read))),
            lambda self, name=name: self.property(name),
        )
        setter = _method(cls, f"set{capital}") or (lambda self, value, name=name: self.setProperty(name, value))
        setattr(cls, name, property(getter, setter if item.isWritable() else None))


def _method(cls: type, name: str) -> Callable | None:
    """Return a method as a function of the object, also where Qt has it static."""
    found = getattr(cls, name, None)
    if isinstance(inspect.getattr_static(cls, name, None), staticmethod):
        return lambda _self, *arguments: found(*arguments)
    return found if callable(found) else None


def _refuse_unknown(self: QtCore.QObject, name: str, value: object) -> None:
    """Refuse what PythonQt refuses: new attributes on Qt's own objects, and methods or signals as targets."""
    owner = None if is_derived(type(self)) else type(self)
    known = inspect.getattr_static(type(self), name, None)
    if isinstance(value, QtCore.SignalInstance):  # PySide6 keeps a signal with its object at first use
        self.__dict__[name] = value
        return
    if owner is not None and not (name.startswith("_") and owner in OWN):
        if known is None and isinstance(value, QtCore.QObject) and value.objectName == name:
            return  # PySide6's loader of .ui files wants to keep the children so; the application's does not
        if known is None:
            raise AttributeError(f"{owner.__name__} has no attribute {name}; objects of Qt take no new attributes.")
        if not hasattr(known, "__set__"):
            raise AttributeError(f"{name} of {owner.__name__} is a method or a signal; call it or connect to it.")
    if hasattr(known, "__set__"):
        known.__set__(self, value)
    else:
        self.__dict__[name] = value


def is_derived(cls: type) -> bool:
    """Tell whether a class was derived in Python by others than the host; these take attributes."""
    return not cls.__module__.startswith("PySide6.") and cls not in OWN


def connect(sender: QtCore.QObject, signal: str, slot: Callable, *inner: Any) -> Any:
    """Connect a signal by its signature, as ``button.connect("clicked()", f)``.

    With a third argument the call is PySide6's own: (sender, signal, slot) of a timer that it made.

    Raises:
        AttributeError: the object has no such signal; PythonQt would only write a warning.
    """
    if inner:
        return _connect(signal, slot, *inner)
    name, count = _resolve(sender, signal)
    places = _positional(slot)

    def call(*arguments: object) -> None:
        slot(*arguments[: min(places, count)])

    key = (shiboken6.getCppPointer(sender)[0], signal)
    _connections.setdefault(key, []).append((slot, _attach(sender, name, signal, call)))
    return True


def disconnect(sender: QtCore.QObject, signal: str, slot: Callable) -> bool:
    """Undo a connection; tell whether there was one."""
    _resolve(sender, signal)
    known = _connections.get((shiboken6.getCppPointer(sender)[0], signal), [])
    for entry in known:
        if entry[0] == slot:
            known.remove(entry)
            return _disconnect(entry[1])
    return False


def _attach(sender: QtCore.QObject, name: str | None, signal: str, call: Callable) -> Any:
    return getattr(sender, name).connect(call) if name else _connect(sender, f"2{signal}", call)


def _resolve(sender: QtCore.QObject, signal: str) -> tuple[str | None, int]:
    """Return the name of a host's signal, None for one of Qt, and the number of its arguments."""
    inside = signal.partition("(")[2].rstrip(")")
    count = len(inside.split(",")) if inside else 0
    for cls in type(sender).__mro__:
        if signal in OWN.get(cls, {}):
            return OWN[cls][signal], count
    normal = bytes(QtCore.QMetaObject.normalizedSignature(signal).data()).decode()
    if sender.metaObject().indexOfSignal(normal) < 0:
        raise AttributeError(f"{sender.className()} has no signal {signal}; look at its spelling and its arguments.")
    return None, count


def _positional(slot: Callable) -> int:
    """Return how many arguments a callable takes; PythonQt hands over no more than these."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return 0
    if any(item.kind is item.VAR_POSITIONAL for item in parameters):
        return 99
    return sum(item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD) for item in parameters)

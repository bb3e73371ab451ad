"""Typed access to a parameter node, and its connection to widgets, as far as panels rely on it.

Handles int, float, str, bool, Enum, pathlib.Path, MRML nodes and lists of the simple ones. Like the application's own,
connectGui() returns nothing; a connection that is to be undone is made by connectParametersToGui().
"""

from __future__ import annotations

import enum
import json
import pathlib
import typing
import weakref
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer
import vtk

__all__ = ["Choice", "Default", "Maximum", "Minimum", "WithinRange", "isParameterNodeWrapper", "parameterNodeWrapper"]


class Default:
    """Annotation: the value that a parameter begins with."""

    def __init__(self, value):
        self.value = value


class WithinRange:
    """Annotation: a number between two limits, both included."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Minimum:
    """Annotation: a number not below a limit."""

    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


class Maximum:
    """Annotation: a number not above a limit."""

    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


class Choice:
    """Annotation: one of some values."""

    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


class _Parameter:
    """How one parameter is written to, and read from, a vtkMRMLScriptedModuleNode."""

    def __init__(self, name: str, hint: Any) -> None:
        self.name, self.hint = name, hint
        base, *annotations = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
        self.validators = [item for item in annotations if hasattr(item, "validate")]
        self.many = typing.get_origin(base) is list
        self.type = typing.get_args(base)[0] if self.many else base
        self.is_node = isinstance(self.type, type) and issubclass(self.type, slicer.vtkMRMLNode)
        simple = self.type in (int, float, str, bool, pathlib.Path) or self._is_enum()
        if not (simple or (self.is_node and not self.many)):
            raise NotImplementedError(f"The stand-in host keeps no parameter of type {hint}; add it to the host.")
        given = [item.value for item in annotations if isinstance(item, Default)]
        self.default = given[0] if given else self._first()

    def _is_enum(self) -> bool:
        return isinstance(self.type, type) and issubclass(self.type, enum.Enum)

    def _first(self) -> Any:
        if self.many:
            return []
        return None if self.is_node else next(iter(self.type)) if self._is_enum() else self.type()

    def check(self, value: Any) -> None:
        for item in value if self.many else [value]:
            allowed = (int, float) if self.type is float else self.type
            if not isinstance(item, allowed) and not (self.is_node and item is None):
                raise TypeError(f"Value must be of type {self.type}, is {value!r}")
        for validator in self.validators:
            validator.validate(value)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: Any) -> None:
        self.check(value)
        if self.is_node:
            with slicer.util.NodeModify(node):
                node.SetParameter(self.name, "")
                node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
        else:
            node.SetParameter(self.name, json.dumps([*map(self._text, value)]) if self.many else self._text(value))

    def _text(self, value: Any) -> str:
        return value.name if self._is_enum() else str(value)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return [*map(self._value, json.loads(text))] if self.many else self._value(text)

    def _value(self, text: str) -> Any:
        if self.type is bool:
            return text == "True"
        return self.type[text] if self._is_enum() else self.type(text)


class _Wrapper:
    """What the decorator adds to the class."""

    def __init__(self, parameterNode, prefix=None):
        if prefix:
            raise NotImplementedError("The stand-in host knows no prefix of parameters; leave it out.")
        self.parameterNode = parameterNode
        self._guis: dict[int, dict[str, tuple]] = {}
        self._updating = False
        for item in self.allParameters.values():
            if not parameterNode.HasParameter(item.name):
                item.write(parameterNode, item.default)

    def getValue(self, name):
        return self._known(name).read(self.parameterNode)

    def setValue(self, name, value):
        self._known(name).write(self.parameterNode, value)

    def default(self, name):
        return Default(self._known(name).default)

    def dataType(self, name):
        return self._known(name).hint

    def isCached(self, name):
        return bool(self._known(name))

    def _known(self, name):
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return self.allParameters[name]

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        return self.parameterNode.EndModify(wasModified)

    def Modified(self):
        self.parameterNode.Modified()

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, gui):
        """Connect widgets by their property SlicerParameterName; returns no tag, as in Slicer 5.8 and after."""
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else gui.__dict__.values()
        named = {widget.property("SlicerParameterName"): widget for widget in widgets}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping):
        connectors = {name: _connector(self._known(name), widget) for name, widget in mapping.items()}
        tag = len(self._guis)
        self._guis[tag] = {}
        for name, (signal, read, write) in connectors.items():
            write(self.getValue(name))
            call = self._to_parameter(name, read)
            signal.connect(call)
            self._guis[tag][name] = (signal, write, call)
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, _keep(_updater(weakref.ref(self))))
        return tag

    def disconnectGui(self, tag):
        for signal, _write, call in self._guis.pop(tag, {}).values():
            signal.disconnect(call)

    def _to_parameter(self, name: str, read: Callable) -> Callable:
        def changed() -> None:
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, read())

        return changed

    def _to_gui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for gui in self._guis.values():
                for name, (_signal, write, _call) in gui.items():
                    write(self.getValue(name))
        finally:
            self._updating = False


_kept: list[Callable] = []


def _keep(callback: Callable) -> Callable:
    _kept.append(callback)
    return callback


def _updater(wrapper: weakref.ref) -> Callable:
    def update(_caller: slicer.vtkMRMLNode, _event: str) -> None:
        alive = wrapper()
        if alive is None:
            raise RuntimeError(
                "A parameter node changed whose wrapper is gone but was connected to widgets. The application crashes "
                "here: its observer stays and is garbage. Keep a connected wrapper as long as its node."
            )
        alive._to_gui()

    return update


def _connector(parameter: _Parameter, widget: qt.QWidget) -> tuple:
    """Return a widget's signal, its reader and its writer; the classes must match exactly, as in the application."""
    kind, cls = parameter.type, type(widget)

    def attribute(signal: str, name: str, to: Callable = lambda value: value) -> tuple:
        return getattr(widget, signal), lambda: kind(getattr(widget, name)), lambda v: setattr(widget, name, to(v))

    if parameter.is_node and cls is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = [kind.__name__]
        return widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
    if kind is bool and cls is qt.QCheckBox:
        return attribute("stateChanged", "checked")
    if kind is bool and cls is qt.QPushButton and widget.checkable:
        return attribute("toggled", "checked")
    if (kind is int and cls in (qt.QSlider, qt.QSpinBox)) or (kind is float and cls is qt.QDoubleSpinBox):
        _limit(parameter, widget)
        return attribute("valueChanged", "value")
    if kind is str and cls is qt.QLineEdit:
        return attribute("textChanged", "text")
    if kind is pathlib.Path and cls is ctk.ctkPathLineEdit:
        return attribute("currentPathChanged", "currentPath", str)
    if kind is pathlib.Path and cls is ctk.ctkDirectoryButton:
        return attribute("directoryChanged", "directory", str)
    if cls is qt.QComboBox:
        return _combo(parameter, widget)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{parameter.hint}' to widget type '{cls}'")


def _limit(parameter: _Parameter, widget: qt.QWidget) -> None:
    for item in parameter.validators:
        for name in ("minimum", "maximum"):
            if hasattr(item, name):
                setattr(widget, name, getattr(item, name))


def _combo(parameter: _Parameter, widget: qt.QComboBox) -> tuple:
    if isinstance(parameter.type, type) and issubclass(parameter.type, enum.Enum):
        choices = list(parameter.type)
        texts = [item.label() if hasattr(item, "label") else item.name for item in choices]
    else:
        choices = next(item.choices for item in parameter.validators if isinstance(item, Choice))
        texts = [str(item) for item in choices]
    widget.clear()
    widget.addItems(texts)
    return (
        widget.currentIndexChanged,
        lambda: choices[widget.currentIndex],
        lambda value: widget.setCurrentIndex(list(choices).index(value)),
    )


def parameterNodeWrapper(classtype):
    """Make the annotated members of a class typed parameters of the node that it wraps."""
    hints = typing.get_type_hints(classtype, include_extras=True)
    parameters = {name: _Parameter(name, hint) for name, hint in hints.items()}
    for name, item in parameters.items():
        if name in vars(_Wrapper):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        if name in vars(classtype):
            item.default = vars(classtype)[name]
        accessor = property(
            lambda self, name=name: self.getValue(name), lambda self, value, name=name: self.setValue(name, value)
        )
        setattr(classtype, name, accessor)
    for name, member in vars(_Wrapper).items():
        if callable(member):
            setattr(classtype, name, member)
    classtype.allParameters = parameters
    return classtype


def isParameterNodeWrapper(item):
    return hasattr(item, "allParameters")

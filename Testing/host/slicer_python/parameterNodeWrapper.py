"""Typed access to a parameter node, as far as panels rely on it.

Handles int, float, str, bool, Enum, pathlib.Path and MRML nodes. Widgets are not connected here: in the application
such a connection leaves an observer that cannot be removed, and that crashes once its wrapper is dropped.
"""

from __future__ import annotations

import enum
import pathlib
import typing
from typing import Any

import slicer

__all__ = ["Choice", "Default", "Maximum", "Minimum", "WithinRange", "parameterNodeWrapper"]


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


class Minimum(WithinRange):
    """Annotation: a number not below a limit."""

    def __init__(self, minimum):
        super().__init__(minimum, float("inf"))


class Maximum(WithinRange):
    """Annotation: a number not above a limit."""

    def __init__(self, maximum):
        super().__init__(float("-inf"), maximum)


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
        self.type, *annotations = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
        self.validators = [item for item in annotations if hasattr(item, "validate")]
        is_class = isinstance(self.type, type)
        self.is_node = is_class and issubclass(self.type, slicer.vtkMRMLNode)
        self.is_enum = is_class and issubclass(self.type, enum.Enum)
        if not (self.is_node or self.is_enum or self.type in (int, float, str, bool, pathlib.Path)):
            raise NotImplementedError(f"The stand-in host keeps no parameter of type {hint}; add it to the host.")
        first = None if self.is_node else next(iter(self.type)) if self.is_enum else self.type()
        self.default = next((item.value for item in annotations if isinstance(item, Default)), first)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: Any) -> None:
        allowed = (int, float) if self.type is float else self.type
        if not isinstance(value, allowed) and not (self.is_node and value is None):
            raise TypeError(f"Value must be of type {self.type}, is {value!r}")
        for validator in self.validators:
            validator.validate(value)
        with slicer.util.NodeModify(node):
            node.SetParameter(self.name, "" if self.is_node else value.name if self.is_enum else str(value))
            if self.is_node:
                node.SetNodeReferenceID(self.name, None if value is None else value.GetID())

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.type is bool:
            return text == "True"
        return self.type[text] if self.is_enum else self.type(text)


class _Wrapper:
    """What the decorator adds to the class."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
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
        raise NotImplementedError(
            "The stand-in host connects no widgets to parameters: in the application that leaves an observer behind "
            "which crashes after its wrapper is dropped. Connect the widget's signal, and observe the parameter node."
        )

    connectParametersToGui = connectGui


def parameterNodeWrapper(classtype):
    """Make the annotated members of a class typed parameters of the node that it wraps."""
    hints = typing.get_type_hints(classtype, include_extras=True)
    parameters = {name: _Parameter(name, hint) for name, hint in hints.items()}
    for name, item in parameters.items():
        if name in vars(_Wrapper):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        item.default = vars(classtype).get(name, item.default)
        accessor = property(
            lambda self, name=name: self.getValue(name), lambda self, value, name=name: self.setValue(name, value)
        )
        setattr(classtype, name, accessor)
    for name, member in vars(_Wrapper).items():
        if callable(member):
            setattr(classtype, name, member)
    classtype.allParameters = parameters
    return classtype

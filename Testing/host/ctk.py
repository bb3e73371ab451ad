"""The module ``ctk`` of the application: the few CTK widgets that the panel uses, on plain Qt."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from pythonqt import own


class _Collapser(QtCore.QObject):
    """Shows and hides what lies in a section, and remembers what the program itself had hidden."""

    def __init__(self, section: QtWidgets.QWidget) -> None:
        super().__init__(section)
        self.section = section
        self.known: set[QtWidgets.QWidget] = set()
        self.hidden: set[QtWidgets.QWidget] = set()
        self.busy = False

    def add(self, child: QtWidgets.QWidget) -> None:
        if child in self.known:
            return
        self.known.add(child)
        if child.isHidden() and child.testAttribute(QtCore.Qt.WA_WState_ExplicitShowHide):
            self.hidden.add(child)
        child.installEventFilter(self)
        self.update(child)

    def update(self, child: QtWidgets.QWidget) -> None:
        self.busy = True
        child.setVisible(not self.section.collapsed and child not in self.hidden)
        if child not in self.hidden:  # so that Qt still tells when the program hides it
            child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, False)
        self.busy = False

    def update_all(self) -> None:
        for child in self.section.children():
            if child.isWidgetType() and not child.isWindow():
                self.add(child)
                self.update(child)

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        kind = event.type()
        if not self.busy and kind in (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent):
            (self.hidden.discard if kind == QtCore.QEvent.ShowToParent else self.hidden.add)(child)
            if self.section.collapsed:
                self.update(child)
        return False


@own()
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section with a header; a click on the header opens or closes it."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, text: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent if isinstance(text, str) else text)
        self._collapsed = False
        self._collapser = _Collapser(self)
        self.setText(text if isinstance(text, str) else "")
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(lambda checked: self._set_collapsed(not checked))
        self.setContentsMargins(0, self._header(), 0, 0)
        self.setMinimumHeight(self._header())

    def _header(self) -> int:
        return self.fontMetrics().height() + 8

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        self._collapser.update_all()
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = property(lambda self: self._collapsed, _set_collapsed)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        if event.type() == QtCore.QEvent.ChildPolished and event.child().isWidgetType():
            self._collapser.add(event.child())

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._header()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._header())
        painter = QtWidgets.QStylePainter(self)
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyle.PE_IndicatorArrowRight if self._collapsed else QtWidgets.QStyle.PE_IndicatorArrowDown
        option.rect = QtCore.QRect(6, 0, 12, self._header())
        painter.drawPrimitive(arrow, option)
        text = QtCore.QRect(24, 0, self.width - 24, self._header())
        painter.drawItemText(text, QtCore.Qt.AlignVCenter, self.palette, self.enabled, self.text.replace("&&", "&"))


@own()
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that its title opens and closes."""

    def __init__(self, title: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent if isinstance(title, str) else title)
        self._collapser = _Collapser(self)
        self.setTitle(title if isinstance(title, str) else "")
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(lambda _checked: self._collapser.update_all())

    collapsed = property(lambda self: not self.checked, lambda self, value: self.setChecked(not value))

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        if event.type() == QtCore.QEvent.ChildPolished and event.child().isWidgetType():
            self._collapser.add(event.child())


@own()
class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a file or a folder, with a button to look for it."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    for _name in (
        "Dirs",
        "Files",
        "Drives",
        "NoSymLinks",
        "AllEntries",
        "Readable",
        "Writable",
        "Executable",
        "Hidden",
    ):
        vars()[_name] = getattr(QtCore.QDir, _name)
    for _name in ("System", "NoDot", "NoDotDot", "NoDotAndDotDot", "AllDirs", "NoFilter"):
        vars()[_name] = getattr(QtCore.QDir, _name)
    del _name

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._label, self._name_filters, self._key, self._valid = "", [], "", True
        self._filters = self.AllEntries
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("…")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._button)
        self.setFocusProxy(self._combo)
        self._combo.editTextChanged.connect(self._changed)
        self._button.clicked.connect(lambda: self.browse())

    def _changed(self, text: str) -> None:
        path = QtCore.QFileInfo(text)
        wanted = path.isDir() if self._wants_folder() else path.isFile() or bool(self._filters & self.Writable)
        if self._valid != (not text or wanted):
            self._valid = not self._valid
            self.validInputChanged.emit(self._valid)
        self.currentPathChanged.emit(text)

    def _wants_folder(self) -> bool:
        return not self._filters & self.Files

    def setCurrentPath(self, path: str) -> None:
        if path != self._combo.currentText:
            self._combo.setEditText(path)

    currentPath = property(lambda self: self._combo.currentText, setCurrentPath)
    filters = property(lambda self: self._filters, lambda self, value: setattr(self, "_filters", value))
    nameFilters = property(lambda self: self._name_filters, lambda self, value: setattr(self, "_name_filters", value))
    label = property(lambda self: self._label, lambda self, value: setattr(self, "_label", value))
    settingKey = property(lambda self: self._key, lambda self, value: setattr(self, "_key", value))
    showBrowseButton = property(
        lambda self: not self._button.isHidden(), lambda self, value: self._button.setVisible(value)
    )

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo

    def addCurrentPathToHistory(self) -> None:
        if self.currentPath and self._combo.findText(self.currentPath) < 0:
            self._combo.insertItem(0, self.currentPath)

    def browse(self) -> None:
        if self._wants_folder():
            path = QtWidgets.QFileDialog.getExistingDirectory(self, "Select a directory", self.currentPath)
        else:
            filters = ";;".join(self._name_filters)
            ask = QtWidgets.QFileDialog
            ask = ask.getSaveFileName if self._filters & self.Writable else ask.getOpenFileName
            path = ask(self, "Select a file", self.currentPath, filters)[0]
        if path:
            self.setCurrentPath(path)


@own()
class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box with a "Don't show this message again" box."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._again, self._key = False, ""

    dontShowAgain = property(lambda self: self._again, lambda self, on: setattr(self, "_again", on))
    dontShowAgainSettingsKey = property(lambda self: self._key, lambda self, key: setattr(self, "_key", key))

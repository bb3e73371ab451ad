"""Plots in the application's plot view: uncertainty along a case, and the learning curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

PLOT_VIEW = "VQBEGALPlot"
ROLE_COLORS = {"decoder": (0.90, 0.35, 0.10), "encoder": (0.10, 0.45, 0.85), "all": (0.45, 0.65, 0.25)}
"""Okabe-Ito-like colours, told apart by colour-blind people too; the table says the role in words as well."""

_LINE = (0.45, 0.45, 0.45)


class Plot:
    """A chart with its tables and series; nodes stay out of saved scenes.

    Args:
        name: of the chart node.
        x_title: title of the horizontal axis.
        y_title: title of the vertical axis.
        y_range: of the vertical axis; what the series need, by default.
    """

    def __init__(self, name: str, x_title: str, y_title: str, *, y_range: tuple[float, float] | None = None) -> None:
        self._name = name
        self._titles = (x_title, y_title)
        self._y_range = y_range

    def show(self, title: str, series: Sequence[Series]) -> None:
        """Draw series, and bring the chart up in the plot view."""
        chart = _node("vtkMRMLPlotChartNode", self._name)
        changing = chart.StartModify()
        chart.SetTitle(title)
        chart.SetXAxisTitle(self._titles[0])
        chart.SetYAxisTitle(self._titles[1])
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(*(self._y_range or _range(series)))
        chart.RemoveAllPlotSeriesNodeIDs()
        for number, item in enumerate(series):
            chart.AddAndObservePlotSeriesNodeID(item.node(f"{self._name} {number}").GetID())
        chart.EndModify(changing)
        view = slicer.mrmlScene.GetSingletonNode(PLOT_VIEW, "vtkMRMLPlotViewNode")
        if view is not None:
            view.SetPlotChartNodeID(chart.GetID())


def _range(series: Sequence[Series]) -> tuple[float, float]:
    """Return a vertical range with some room above and below, so that no mark is cut."""
    heights = [y for item in series for _x, y in item.points] or [0.0, 1.0]
    room = max(0.08 * (max(heights) - min(heights)), 1e-3)
    return min(heights) - room, max(heights) + room


class Series:
    """One line, or one set of marks.

    Args:
        name: for the legend.
        points: (x, y) pairs.
        color: red, green, blue from 0 to 1.
        line: whether the points are joined.
        marks: whether each point is marked.
    """

    def __init__(
        self,
        name: str,
        points: Sequence[tuple[float, float]],
        color: tuple[float, float, float],
        *,
        line: bool = True,
        marks: bool = True,
    ) -> None:
        self.name, self.points, self.color, self.line, self.marks = name, points, color, line, marks

    def node(self, key: str) -> slicer.vtkMRMLPlotSeriesNode:
        """Return the series' node, filled."""
        table = _node("vtkMRMLTableNode", f"{key} table")
        table.RemoveAllColumns()
        points = self.points * 2 if len(self.points) == 1 else self.points  # VTK complains of a line of one point
        values = np.array(points, float).reshape(-1, 2)
        for column, title in enumerate(("x", "y")):
            array = numpy_to_vtk(np.ascontiguousarray(values[:, column]), deep=True)
            array.SetName(title)
            table.AddColumn(array)
        series = _node("vtkMRMLPlotSeriesNode", key)
        series.SetName(self.name)
        series.SetAttribute(_KEY, key)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("x")
        series.SetYColumnName("y")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetLineStyle(series.LineStyleSolid if self.line and len(self.points) > 1 else series.LineStyleNone)
        series.SetMarkerStyle(series.MarkerStyleDiamond if self.marks else series.MarkerStyleNone)
        series.SetMarkerSize(12)
        series.SetColor(*self.color)
        return series


_KEY = "VQBEGAL.Plot"


def _node(kind: str, key: str) -> slicer.vtkMRMLNode:
    """Return a node of ours by its key, made where it is missing."""
    for node in slicer.util.getNodesByClass(kind):
        if node.GetAttribute(_KEY) == key:
            return node
    node = slicer.mrmlScene.AddNewNodeByClass(kind, key)
    node.SetAttribute(_KEY, key)
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    return node


def show_uncertainty(title: str, scores: Mapping[int, float], chosen: Mapping[str, Sequence[int]]) -> None:
    """Plot the uncertainty of every slice of a case, and mark the chosen slices by role.

    Args:
        title: says of what and of which case.
        scores: bits by slice.
        chosen: slices by role; empty where none is marked.
    """
    words = role_words()
    line = Series(_("all slices"), sorted(scores.items()), _LINE, marks=False)
    marks = [
        Series(
            words[role], [(index, scores.get(index, 0.0)) for index in sorted(slices)], ROLE_COLORS[role], line=False
        )
        for role, slices in chosen.items()
        if slices
    ]
    Plot("VQBEGAL uncertainty", _("Slice"), _("Entropy (bits)")).show(title, [line, *marks])


def show_learning_curve(validation: Sequence[tuple[float, float]], proposals: Sequence[tuple[float, float]]) -> None:
    """Plot Dice over annotated slices: on the validation cases, and of the proposals against their corrections."""
    Plot("VQBEGAL learning curve", _("Annotated slices"), _("Dice"), y_range=(0.0, 1.05)).show(
        _("Learning curve"),
        [
            item
            for item in (
                Series(_("validation"), validation, ROLE_COLORS["encoder"]),
                Series(_("proposal against correction"), proposals, ROLE_COLORS["decoder"]),
            )
            if item.points
        ],
    )


def role_words() -> dict[str, str]:
    """Return what each role trains, in words."""
    return {"decoder": _("decoder"), "encoder": _("encoders"), "all": _("everything")}


class Clicks:
    """Tells which slice was clicked in the plot of uncertainty.

    Args:
        on_slice: called with the slice.
    """

    def __init__(self, on_slice: Callable[[int], None]) -> None:
        self._on_slice = on_slice
        self._views: list[slicer.qMRMLPlotView] = []

    def follow(self) -> None:
        """Listen to the plot views there are; those heard before are heard once."""
        manager = slicer.app.layoutManager()
        for number in range(manager.plotViewCount):
            view = manager.plotWidget(number).plotView()
            if view not in self._views:
                view.renderWindow().GetRenderers().GetFirstRenderer().SetBackground(1, 1, 1)  # axes are drawn in black
                view.connect("dataSelected(vtkStringArray*,vtkCollection*)", self._selected)
                self._views.append(view)

    def stop(self) -> None:
        """Listen no more."""
        for view in self._views:
            view.disconnect("dataSelected(vtkStringArray*,vtkCollection*)", self._selected)
        self._views.clear()

    def _selected(self, series: vtk.vtkStringArray, rows: vtk.vtkCollection) -> None:
        for number in range(series.GetNumberOfValues()):
            node = slicer.mrmlScene.GetNodeByID(series.GetValue(number))
            row = rows.GetItemAsObject(number).GetValue(0)
            if node is not None and (node.GetAttribute(_KEY) or "").startswith("VQBEGAL uncertainty"):
                self._on_slice(int(node.GetTableNode().GetTable().GetColumn(0).GetValue(row)))
                return


def strip(values: Mapping[int, float], count: int, width: int, height: int) -> qt.QPixmap:
    """Return a colour strip of one column a slice: dark where certain, bright where not.

    Args:
        values: bits by slice.
        count: slices of the volume.
        width: pixels.
        height: pixels.
    """
    image = qt.QImage(max(count, 1), 1, qt.QImage.Format_RGB32)
    top = max(values.values(), default=0.0) or 1.0
    for index in range(count):
        share = values.get(index, 0.0) / top
        image.setPixel(
            index, 0, qt.QColor(int(40 + 215 * share), int(20 + 180 * share * share), int(90 - 60 * share)).rgb()
        )
    return qt.QPixmap.fromImage(image).scaled(width, height)

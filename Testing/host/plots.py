"""Plot views: a chart drawn off screen from a vtkMRMLPlotChartNode."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore
from pythonqt import observe, own, unobserve
from views import _bar, _Framed, _View

SERIES = slicer.vtkMRMLPlotSeriesNode
_MARKERS = {
    SERIES.MarkerStyleNone: vtk.vtkPlotPoints.NONE,
    SERIES.MarkerStyleCross: vtk.vtkPlotPoints.CROSS,
    SERIES.MarkerStylePlus: vtk.vtkPlotPoints.PLUS,
    SERIES.MarkerStyleSquare: vtk.vtkPlotPoints.SQUARE,
    SERIES.MarkerStyleCircle: vtk.vtkPlotPoints.CIRCLE,
    SERIES.MarkerStyleDiamond: vtk.vtkPlotPoints.DIAMOND,
}
_LINES = {
    SERIES.LineStyleNone: vtk.vtkPen.NO_PEN,
    SERIES.LineStyleSolid: vtk.vtkPen.SOLID_LINE,
    SERIES.LineStyleDash: vtk.vtkPen.DASH_LINE,
    SERIES.LineStyleDot: vtk.vtkPen.DOT_LINE,
    SERIES.LineStyleDashDot: vtk.vtkPen.DASH_DOT_LINE,
    SERIES.LineStyleDashDotDot: vtk.vtkPen.DASH_DOT_DOT_LINE,
}


@own({"dataSelected(vtkStringArray*,vtkCollection*)": "dataSelected"})
class qMRMLPlotView(_View):
    """Draws the chart that its plot view node names, anew whenever chart, series or table change."""

    dataSelected = QtCore.Signal(object, object)

    def __init__(self, node: slicer.vtkMRMLPlotViewNode) -> None:
        self._context = vtk.vtkContextView()
        self._context.GetRenderer().SetBackground(1, 1, 1)
        super().__init__(self._context.GetRenderWindow())
        self._chart = vtk.vtkChartXY()
        self._context.GetScene().AddItem(self._chart)
        self._node, self._observed = node, []
        observe(node, vtk.vtkCommand.ModifiedEvent, self._follow)
        self._follow()

    def chart(self) -> vtk.vtkChartXY:
        return self._chart

    def fitToContent(self) -> None:
        self._chart.RecalculateBounds()
        self.scheduleRender()

    def _follow(self) -> None:
        unobserve(self._observed)
        chart = self._node.GetPlotChartNode()
        nodes = [] if chart is None else [chart, *_series(chart)]
        nodes += [table for item in nodes[1:] if (table := item.GetTableNode())]
        events = (vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLNode.ReferenceAddedEvent)
        events += (slicer.vtkMRMLNode.ReferenceModifiedEvent, slicer.vtkMRMLNode.ReferenceRemovedEvent)
        self._observed = [observe(item, event, self._follow) for item in nodes for event in events]
        self._draw(chart)
        self.scheduleRender()

    def _draw(self, node: slicer.vtkMRMLPlotChartNode | None) -> None:
        self._chart.ClearPlots()
        self._chart.SetVisible(node is not None)
        if node is None:
            return
        self._chart.SetTitle((node.GetTitleVisibility() and node.GetTitle()) or "")
        self._chart.SetShowLegend(node.GetLegendVisibility())
        axes = (vtk.vtkAxis.BOTTOM, node.GetXAxisTitle(), node.GetXAxisRangeAuto(), node.GetXAxisRange())
        _set_axis(self._chart.GetAxis(axes[0]), *axes[1:])
        axes = (vtk.vtkAxis.LEFT, node.GetYAxisTitle(), node.GetYAxisRangeAuto(), node.GetYAxisRange())
        _set_axis(self._chart.GetAxis(axes[0]), *axes[1:])
        for series in _series(node):
            _add_plot(self._chart, series)
        self._chart.RecalculateBounds()


def _series(chart: slicer.vtkMRMLPlotChartNode) -> list[slicer.vtkMRMLPlotSeriesNode]:
    nodes = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    return [node for node in nodes if node is not None]


def _set_axis(axis: vtk.vtkAxis, title: str, auto: bool, limits: tuple[float, float]) -> None:
    axis.SetTitle(title or "")
    axis.SetBehavior(vtk.vtkAxis.AUTO if auto else vtk.vtkAxis.FIXED)
    if not auto:
        axis.SetRange(*limits)


def _add_plot(chart: vtk.vtkChartXY, series: slicer.vtkMRMLPlotSeriesNode) -> None:
    node = series.GetTableNode()
    table = None if node is None else node.GetTable()
    x, y = series.GetXColumnName(), series.GetYColumnName()
    if table is None or not table.GetNumberOfRows() or not table.GetColumnByName(y or ""):
        return
    bar = series.GetPlotType() == SERIES.PlotTypeBar
    plot = chart.AddPlot(vtk.vtkChart.BAR if bar else vtk.vtkChart.LINE)
    if series.GetPlotType() in (SERIES.PlotTypeScatter, SERIES.PlotTypeScatterBar) and x:
        plot.SetInputData(table, x, y)
    else:
        plot.SetInputData(table, y, y)
        plot.SetUseIndexForXSeries(True)
    plot.SetLabel(series.GetName())
    red, green, blue = (round(255 * part) for part in series.GetColor())
    plot.SetColor(red, green, blue, round(255 * series.GetOpacity()))
    plot.SetWidth(series.GetLineWidth())
    plot.GetPen().SetLineType(_LINES[series.GetLineStyle()])
    if not bar:
        plot.SetMarkerStyle(_MARKERS[series.GetMarkerStyle()])
        plot.SetMarkerSize(series.GetMarkerSize())


@own()
class qMRMLPlotWidget(_Framed):
    """A plot view with its bar."""

    def __init__(self, node: slicer.vtkMRMLPlotViewNode) -> None:
        self._node = node
        super().__init__(_bar(node.GetLayoutLabel() or node.GetLayoutName()), qMRMLPlotView(node))

    def plotView(self) -> qMRMLPlotView:
        return self._view

    def mrmlPlotViewNode(self) -> slicer.vtkMRMLPlotViewNode:
        return self._node

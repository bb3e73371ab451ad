"""Plots, uncertainty, opt-ins and advice."""

import gc
import json

import driver
import slicer
from support import PanelScenario


class Views(PanelScenario):
    """A study whose second round has scores."""

    def setUp(self):
        super().setUp()
        self.first_round()
        self.ui.keepTime.checked = True
        self.annotate(4)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        driver.select_row(self.ui.requestsTable, 0)
        self.request = self.panel.slices.selected()

    def series(self, points):
        """Return a series of the shown chart by its number of points."""
        view = slicer.mrmlScene.GetSingletonNode("VQBEGALPlot", "vtkMRMLPlotViewNode")
        chart = slicer.mrmlScene.GetNodeByID(view.GetPlotChartNodeID())
        found = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
        return [item for item in found if item.GetTableNode().GetNumberOfRows() == points or points is None]

    def test_only_the_shown_case_has_its_segmentations_up(self):
        for row in (*range(4), *range(4)):
            driver.select_row(self.ui.requestsTable, row)
            gc.collect()
            case = self.panel.slices.selected().case
            for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
                up = bool(node.GetDisplayNode().GetVisibility())
                self.assertEqual(up, node.GetAttribute("VQBEGAL.Case") == case, node.GetName())

    def test_the_note_tells_when_another_slice_is_shown(self):
        note = self.panel.viewer.views._notes["Red"]
        self.assertIn(f"slice {self.request.slice} of", note.GetText(3))
        logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
        before = logic.GetSliceOffset()
        logic.SetSliceOffset(before + 15)
        self.assertIn("Another slice", note.GetText(3))
        logic.SetSliceOffset(before)
        self.assertIn(f"slice {self.request.slice} of", note.GetText(3))

    def test_the_brush_stays_from_slice_to_slice(self):
        self.ui.editor.setActiveEffectByName("Paint")
        rows = self.panel.annotating.requests()
        other = next((item.rank for item in rows if item.case != self.request.case), 1)
        driver.select_row(self.ui.requestsTable, other)
        self.assertEqual(self.ui.editor.activeEffect().name, "Paint")

    def test_a_click_on_a_mark_brings_its_slice_up(self):
        mine = [item for item in self.panel.annotating.requests() if item.case == self.request.case]
        self.assertGreater(len(mine), 1)
        other = next(item for item in mine if item.slice != self.request.slice)
        marks = [item for item in self.series(None) if item.GetTableNode().GetNumberOfRows() <= len(mine)]
        for series in marks:
            column = series.GetTableNode().GetTable().GetColumn(0)
            rows = [row for row in range(column.GetNumberOfTuples()) if int(column.GetValue(row)) == other.slice]
            if rows:
                driver.click_mark(slicer.app.layoutManager().plotWidget(0).plotView(), series, rows[0])
                break
        self.assertEqual(self.panel.slices.selected(), other)

    def test_a_click_beside_the_marks_pages_and_done_stays_safe(self):
        line = max(self.series(None), key=lambda item: item.GetTableNode().GetNumberOfRows())
        column = line.GetTableNode().GetTable().GetColumn(0)
        chosen = {item.slice for item in self.panel.annotating.requests() if item.case == self.request.case}
        row = next(row for row in range(column.GetNumberOfTuples()) if int(column.GetValue(row)) not in chosen)
        driver.click_mark(slicer.app.layoutManager().plotWidget(0).plotView(), line, row)
        self.assertEqual(self.panel.slices.selected(), self.request)
        with self.answering(True):
            driver.click(self.ui.done)
        self.assertIn("was not on the screen", self.told.pop())

    def test_uncertainty_is_shown_as_a_strip(self):
        driver.choose(self.ui.resultCase, self.request.case)
        self.assertFalse(self.ui.uncertaintyStrip.pixmap is None)
        self.assertIn("least certain at slice", self.ui.uncertaintyText.text)

    def test_the_time_is_kept_only_after_opting_in(self):
        events = self.panel.session.study.events("annotated")
        self.assertEqual(len(events), 4)
        self.assertTrue(all(event["seconds"] >= 0 for event in events))
        self.assertNotIn("patient", json.dumps(events).lower())

    def test_a_spent_budget_is_no_error(self):
        self.annotate(4)
        self.panel.session.configure({"total_budget": 8})
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        self.assertIn("budget", self.ui.advice.text)
        self.assertFalse(self.ui.nextRound.enabled)
        self.assertIn("budget of 8 slices is spent", self.ui.nextRound.toolTip)
        self.ui.totalBudget.value = 20
        driver.click(self.ui.applySettings)
        self.assertTrue(self.ui.nextRound.enabled)

    def test_leaving_the_module_and_coming_back(self):
        slicer.util.selectModule("")
        driver.process(0.1)
        panel = driver.open_panel()
        self.assertIs(panel, self.panel)
        driver.select_row(self.ui.requestsTable, 1)
        self.assertEqual(self.told, [])
        self.assertTrue(self.ui.done.enabled)

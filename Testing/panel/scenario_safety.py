"""A painting never lands on another case, slice or place than the one that was on the screen."""

import driver
import numpy as np
import slicer
from support import PanelScenario


class Safety(PanelScenario):
    """What a person may do by mistake between painting and Done."""

    def setUp(self):
        super().setUp()
        self.first_round()
        driver.select_row(self.ui.requestsTable, 0)
        self.request = self.panel.slices.selected()
        self.scene = self.panel.session.scene
        self.own = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()

    def finished(self):
        """Return the finished slices of the request's case."""
        labels = self.panel.session.study.labels(self.request.case)
        return {} if labels is None else {index: labels.labelmap.voxels[index] for index in labels.annotations}

    def refused(self, words):
        """Press Done, and see that it is refused with a reason and writes nothing."""
        before = self.finished()
        with self.answering(True):
            driver.click(self.ui.done)
        self.assertIn(words, self.told.pop())
        self.assertEqual(self.finished().keys(), before.keys())
        for index, plane in self.finished().items():
            self.assertTrue((plane == before[index]).all())

    def test_done_takes_only_the_slice_on_the_screen(self):
        painted = self.paint(self.request)
        self.own.SetSliceOffset(self.own.GetSliceOffset() + 12)
        self.refused("was not on the screen")
        driver.click(self.ui.done)  # now the slice is back
        self.assertEqual(self.told, [])
        self.assertTrue((self.finished()[self.request.slice] == painted).all())

    def test_a_view_that_was_turned_is_refused(self):
        self.paint(self.request)
        self.own.GetSliceNode().SetOrientation("Sagittal")
        self.refused("was not on the screen")

    def test_panning_and_zooming_are_no_reason(self):
        painted = self.paint(self.request)
        node = self.own.GetSliceNode()
        node.SetXYZOrigin(15, -20, 0)
        node.SetFieldOfView(150, 150, node.GetFieldOfView()[2])
        driver.click(self.ui.done)
        self.assertEqual(self.told, [])
        self.assertTrue((self.finished()[self.request.slice] == painted).all())

    def test_another_case_puts_the_slice_away(self):
        other = next(row for row in range(3) if self.ui.casesTable.item(row, 0).text() != self.request.case)
        driver.select_row(self.ui.casesTable, other)
        driver.click(self.ui.showCase)
        self.assertIsNone(self.panel.slices.selected())
        self.assertFalse(self.ui.done.enabled)
        self.assertIsNone(self.ui.editor.segmentationNode())
        shown = self.scene.find(self.request.case, "annotation").GetDisplayNode()
        self.assertFalse(shown.GetVisibility(), "One patient's contour lies over another's images.")

    def test_a_deleted_annotation_is_not_saved_as_empty(self):
        self.paint(self.request)
        driver.click(self.ui.done)
        driver.select_row(self.ui.requestsTable, 0)
        slicer.mrmlScene.RemoveNode(self.scene.find(self.request.case, "annotation"))
        driver.process(0.1)
        self.refused("was not on the screen")
        kept = self.scene.mask(self.request.case, "annotation")[self.request.slice]
        self.assertTrue((kept == self.finished()[self.request.slice]).all(), "It came back from the study.")

    def test_a_removed_segment_is_told(self):
        segmentation = self.scene.find(self.request.case, "annotation").GetSegmentation()
        segmentation.RemoveAllSegments()
        self.refused("segment")

    def test_a_second_segment_is_not_taken_for_the_organ(self):
        painted = self.paint(self.request)
        segmentation = self.scene.find(self.request.case, "annotation").GetSegmentation()
        other = segmentation.AddEmptySegment("", "Tumour")
        segmentation.SetSegmentIndex(other, 0)
        driver.click(self.ui.done)
        self.assertEqual(self.told, [])
        self.assertTrue((self.finished()[self.request.slice] == painted).all())

    def test_a_transformed_annotation_is_refused(self):
        self.paint(self.request)
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = slicer.util.vtkMatrixFromArray(np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 20)
        transform.SetMatrixTransformToParent(matrix)
        for kind in ("annotation", "primary"):
            node = self.scene.find(self.request.case, kind)
            node.SetAndObserveTransformNodeID(transform.GetID())
            self.refused("transform")
            node.SetAndObserveTransformNodeID(None)

    def test_an_older_painting_does_not_hide_newer_finished_slices(self):
        painted = self.paint(self.request)
        driver.click(self.ui.done)
        node = self.scene.find(self.request.case, "annotation")
        empty = np.zeros_like(self.scene.mask(self.request.case, "annotation"))
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            empty, node, node.GetAttribute("VQBEGAL.Segment"), self.scene.volume(self.request.case, "primary")
        )
        node.SetAttribute("VQBEGAL.Version", "0")  # as in a scene that was saved before
        driver.select_row(self.ui.requestsTable, 1)
        driver.select_row(self.ui.requestsTable, 0)
        kept = self.scene.mask(self.request.case, "annotation")[self.request.slice]
        self.assertTrue((kept == painted).all())

    def test_finished_work_is_replaced_only_after_asking(self):
        painted = self.paint(self.request)
        driver.click(self.ui.done)
        driver.select_row(self.ui.requestsTable, 0)
        node = self.scene.find(self.request.case, "annotation")
        segment, volume = node.GetAttribute("VQBEGAL.Segment"), self.scene.volume(self.request.case, "primary")
        driver.paint(node, segment, volume, 0, self.request.slice, np.ones_like(painted))
        with self.answering(False) as asked:
            driver.click(self.ui.done)
        self.assertIn("finished before", asked[0])
        self.assertTrue((self.finished()[self.request.slice] == painted).all())

    def test_nodes_of_another_study_are_left_alone(self):
        self.paint(self.request)
        self.panel.session.close()
        self.new_study("other")
        ui = self.ui
        pairs = [("Phantom 2 CT", "Phantom 2 MR"), ("Phantom 3 CT", "Phantom 3 MR")]
        for ct, mr in pairs:
            ui.ctVolume.setCurrentNode(slicer.util.getNode(ct))
            ui.mrVolume.setCurrentNode(slicer.util.getNode(mr))
            ui.referenceSegmentation.setCurrentNode(None)
            driver.choose(ui.newSplit, "train")
            driver.click(ui.addCase)
            self.wait_for_job(60)
        driver.click(ui.nextRound)
        self.wait_for_job()
        driver.select_row(ui.requestsTable, 0)
        self.assertEqual(self.told, [])
        request = self.panel.slices.selected()
        self.assertFalse(self.panel.session.scene.mask(request.case, "annotation").any())

    def test_foreign_segmentations_are_hidden(self):
        reference = slicer.util.getNode("Phantom 4 reference")
        reference.GetDisplayNode().SetVisibility(True)
        driver.select_row(self.ui.requestsTable, 1)
        self.assertFalse(reference.GetDisplayNode().GetVisibility())
        self.assertIn("Phantom 4 reference was hidden", self.ui.log.plainText)

    def test_saving_the_scene_does_not_touch_the_study(self):
        volume = self.scene.find(self.request.case, "primary")
        slicer.util.arrayFromVolume(volume)[:] = 0
        slicer.util.arrayFromVolumeModified(volume)
        self.assertTrue(slicer.util.saveScene(str(self.folder / "scene.mrb")))
        errors = [item.text for item in self.panel.session.study.check() if item.level == "error"]
        self.assertEqual(errors, [])

"""A study of several organs: one segment each, from painting to the exported object."""

import driver
import numpy as np
import slicer
from clinic import ClinicScenario

LIVER, SPLEEN = (slice(10, 20), slice(10, 20)), (slice(30, 40), slice(10, 20))
"""Where this test paints the organs on a slice."""


class Organs(ClinicScenario):
    """Liver and spleen."""

    def setUp(self):
        super().setUp()
        driver.click(self.ui.addOrgan)
        driver.click(self.ui.addOrgan)
        boxes = self.boxes()
        self.assertEqual(len(boxes), 3)
        driver.choose(boxes[1], "Right kidney")
        driver.choose(boxes[2], "Spleen")
        driver.click(slicer.util.findChild(boxes[1].parent(), boxes[1].objectName.replace("organ", "removeOrgan")))
        self.clinical_study()

    def boxes(self):
        """Return the boxes of the organs, from the top."""
        found = slicer.util.findChildren(self.ui.organRows, className="QComboBox")
        return sorted((item for item in found if item.visible), key=lambda item: item.objectName)

    def give_results(self, case, voxels):
        """Keep a prediction with both organs, and ask for slices."""
        study = self.panel.session.study
        self.predicted = (voxels != 0).astype(np.uint8)
        self.predicted[(slice(None), *SPLEEN)] = 2
        study.put_prediction(0, case, study.grid(case).with_voxels(self.predicted), self.predicted.mean(axis=(1, 2)))
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        driver.select_row(self.ui.requestsTable, 0)
        self.assertEqual(self.told, [])

    def paint_organs(self, request, *places):
        """Paint each organ at its place on a slice."""
        from VQBEGALPanel.scene import segment_ids

        scene = self.panel.session.scene
        volume, node = scene.volume(request.case, "primary"), scene.annotation(request.case)
        shape = slicer.util.arrayFromVolume(volume).shape[1:]
        for wanted, place in zip(segment_ids(node), places, strict=True):
            plane = np.zeros(shape, dtype=np.uint8)
            plane[place] = 1
            driver.paint(node, wanted, volume, 0, request.slice, plane)
        return node.GetSegmentation()

    def finished(self, request):
        """Return what the study has of a slice."""
        return self.panel.session.study.labels(request.case).labelmap.voxels[request.slice]

    def test_from_painting_to_the_exported_object(self):
        import pydicom

        from VQBEGALLib.volumes import read_labelmap

        study, scene = self.panel.session.study, self.panel.session.scene
        self.assertEqual(study.config.organs, ("liver", "spleen"))
        self.assertFalse(self.ui.addOrgan.enabled)
        self.assertFalse(any(box.enabled for box in self.boxes()))

        first = self.panel.slices.selected()
        segmentation = self.paint_organs(first, LIVER, SPLEEN)
        names = [segmentation.GetNthSegment(number).GetName() for number in range(2)]
        self.assertEqual(names, ["Liver", "Spleen"])
        segmentation.SetSegmentIndex(segmentation.GetNthSegmentID(1), 0)  # sorted by a person
        driver.click(self.ui.done)
        self.assertEqual(self.told, [])
        painted = self.finished(first)
        self.assertTrue((painted[LIVER] == 1).all() and (painted[SPLEEN] == 2).all())
        self.assertEqual(np.count_nonzero(painted), 200)

        second = self.panel.slices.selected()
        with self.answering(False) as asked:
            driver.click(self.ui.done)
        self.assertIn("without liver and spleen", asked[0])
        self.paint_organs(second, (slice(10, 20), slice(10, 20)), (slice(19, 30), slice(10, 20)))
        with self.answering(False) as asked:
            driver.click(self.ui.done)
        self.assertIn("10 pixels belong to several organs", asked[0])
        self.assertEqual(len(study.labels(second.case).annotations), 1)
        with self.answering(True):
            driver.click(self.ui.done)
        self.assertEqual(np.count_nonzero(self.finished(second) == 1), 90)
        self.assertEqual(np.count_nonzero(self.finished(second) == 2), 110)

        third = self.panel.slices.selected()
        driver.click(self.ui.startFromPrediction)
        proposed = scene.mask(third.case, "annotation")
        self.assertTrue((proposed[third.slice] == self.predicted[third.slice]).all())
        self.assertTrue((proposed[first.slice] == painted).all(), "Another slice was touched.")
        colors = [
            scene.find(third.case, "prediction").GetSegmentation().GetNthSegment(number).GetColor()
            for number in range(2)
        ]
        self.assertNotEqual(*colors)
        segmentation.RemoveSegment(segmentation.GetNthSegmentID(0))
        driver.click(self.ui.done)
        self.assertIn("segment", self.told.pop())
        self.assertEqual(len(study.labels(third.case).annotations), 2)

        self.open_section()
        expected = self.predicted.copy()
        expected[first.slice], expected[second.slice] = painted, self.finished(second)
        self.assertNotIn("✗", self.choose("corrected", "nrrd"))
        found = read_labelmap(self.save(self.folder / "both.seg.nrrd"), grid=study.grid("P01"))
        self.assertTrue((found.voxels == expected).all())
        self.assertNotIn("✗", self.choose("corrected", "seg"))
        dataset = pydicom.dcmread(self.save(self.folder / "both.dcm"))
        self.assertEqual(self.told, [])
        codes = [item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in dataset.SegmentSequence]
        self.assertEqual(codes, ["10200004", "78961009"])

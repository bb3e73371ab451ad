"""Other training methods, other strategies, a start from one annotated case, and what was read from the other image."""

import subprocess

import driver
import numpy as np
import qt
import slicer
from support import PanelScenario
from VQBEGALPanel import choices, jobs, sampledata
from VQBEGALPanel.paths import library_root

LEFT_OUT = {"ct_only", "mc_dropout", "mc_dropout_entropy", "diversity", "exemplar", "stratified_random"}
"""Strategies that the panel does not offer: they need other settings, or are there for the first round."""


class Choices(PanelScenario):
    """What the advanced settings of a new study offer."""

    def test_every_choice_says_what_it_is_for(self):
        for combo in (self.ui.method, self.ui.strategy, self.ui.coldStart):
            self.assertGreater(combo.count, 2)
            for row in range(combo.count):
                tip = combo.itemData(row, qt.Qt.ToolTipRole)
                self.assertTrue(30 < len(tip) < 120, tip)

    def test_every_strategy_of_the_library_is_offered_or_left_out_on_purpose(self):
        command = "from VQBEGALLib.selection import names; print(*names())"
        told = subprocess.run([str(jobs.python()), "-c", command], cwd=library_root(), capture_output=True, text=True)
        offered = {value for _text, value, _tip in choices.strategies()}
        self.assertEqual(offered | LEFT_OUT, set(told.stdout.split()), told.stderr)
        self.assertFalse(offered & LEFT_OUT)

    def test_the_method_is_fixed_with_the_study(self):
        for method, architecture, quantize in (("cmc", "cmc", True), ("plain", "vq_begal", False)):
            driver.choose(self.ui.method, method)
            self.assertEqual(self.ui.routing.enabled, method == "plain")
            self.new_study(method)
            network = self.panel.session.study.config.network
            self.assertEqual((network.architecture, network.quantize), (architecture, quantize))
            self.assertFalse(self.ui.method.enabled)
            driver.click(self.ui.closeStudy)
            driver.choose(self.ui.method, "default")
            self.ui.studyPath.currentPath = str(self.folder / method)
            driver.click(self.ui.openStudy)
            self.assertEqual(self.ui.method.currentData, method)
            driver.click(self.ui.applySettings)
            self.assertEqual(self.told, [])
            self.assertEqual(self.panel.session.study.config.network, network)
            driver.click(self.ui.closeStudy)


class AnnotatedCase(PanelScenario):
    """A study that begins with one case that is annotated already."""

    def setUp(self):
        super().setUp()
        driver.choose(self.ui.coldStart, "exemplar")
        self.new_study()
        self.add_phantoms(2, reference=False)
        self.reference = slicer.util.getNode(f"Phantom {sampledata.PATIENTS} reference")
        self.study = self.panel.session.study

    def take(self, case, slices):
        """Let the study begin with the reference."""
        driver.choose(self.ui.exemplarCase, case)
        driver.choose(self.ui.exemplarSlices, slices)
        self.ui.exemplarSegmentation.setCurrentNode(self.reference)
        driver.click(self.ui.takeExemplar)

    def refuse_what_does_not_fit(self):
        """Try segmentations that lack the organ, or have nothing on the case's images."""
        segmentation = self.reference.GetSegmentation()
        segmentation.GetNthSegment(0).SetName("Whatever")
        other = segmentation.AddEmptySegment("", "Tumour")
        self.take("P02", "whole")
        self.assertIn("no segment called liver", self.told.pop())
        segmentation.GetSegment(other).SetName("Liver")
        self.take("P02", "whole")
        self.assertIn("lies on the images of P02", self.told.pop())
        self.assertIsNone(self.study.labels("P02"))
        self.assertFalse(self.panel.session.is_begun())
        segmentation.RemoveSegment(other)  # the only one that is left is taken whatever its name

    def test_it_is_trained_at_once(self):
        self.assertIn("all of one case", self.ui.roundSummary.text)
        self.assertEqual(self.ui.nextRound.text, "Choose the first slices")
        self.refuse_what_does_not_fit()
        self.take("P02", "painted")
        self.assertEqual(self.told, [])
        labels = self.study.labels("P02")
        some = [index for index, plane in enumerate(labels.labelmap.voxels) if plane.any()]
        self.assertEqual(sorted(labels.annotations), some)
        self.assertLess(len(some), len(labels.labelmap.voxels))
        self.assertIn(f"P02: {len(some)} slices", self.ui.exemplarText.text)
        with self.answering(True):
            driver.click(self.ui.dropExemplar)
        self.assertEqual(self.panel.session.budget()["used"], 0)

        self.take("P02", "whole")
        self.assertEqual(self.panel.session.budget()["used"], len(labels.labelmap.voxels))
        self.assertIn("Train", self.ui.nextRound.text)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        rounds = self.panel.session.rounds()
        self.assertEqual([(item.trained, len(item.requests)) for item in rounds], [(True, 0), (False, 4)])
        self.assertTrue(self.ui.exemplarFrame.isHidden())


class Attention(PanelScenario):
    """What a network read from the other modality, over the image of its case."""

    def setUp(self):
        super().setUp()
        self.new_study()
        self.add_phantoms(2)
        self.view = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
        for case in ("P01", "P02"):
            self.predict(case, attention=case == "P01")
        self.ui.resultsSection.collapsed = False
        driver.choose(self.ui.resultCase, "P01")

    def predict(self, case, *, attention=True):
        """Keep a prediction, with or without a map."""
        study = self.panel.session.study
        grid = study.grid(case)
        self.percent = (np.indices(grid.shape)[2] * 100 // (grid.shape[2] - 1)).astype(np.uint8)
        labels = np.zeros(grid.shape, dtype=np.uint8)
        labels[3, 20:40, 20:40] = 1
        map_ = grid.with_voxels(self.percent) if attention else None
        study.put_prediction(0, case, grid.with_voxels(labels), np.zeros(len(labels)), map_)
        self.panel.session.refresh()

    def shown(self):
        """Return the volume over the image, None without one."""
        return slicer.mrmlScene.GetNodeByID(self.view.GetForegroundVolumeID() or "")

    def test_it_lies_over_its_own_case_alone(self):
        ui = self.ui
        self.assertFalse(ui.showAttention.isHidden())
        self.assertTrue(ui.attentionLegend.isHidden())
        driver.click(ui.showAttention)
        self.assertEqual(self.told, [])
        node = self.shown()
        self.assertEqual(self.panel.viewer.case, "P01")
        self.assertFalse(node.GetSaveWithScene())
        self.assertGreater(self.view.GetForegroundOpacity(), 0)
        self.assertFalse(ui.attentionLegend.isHidden())
        self.assertIn("MR", ui.attentionTop.text)
        from VQBEGALPanel.geometry import voxel_order

        order = voxel_order(node, self.panel.session.study.grid("P01"))
        self.assertTrue((slicer.util.arrayFromVolume(node)[order] == self.percent).all())
        display = node.GetDisplayNode()
        self.assertEqual((display.GetWindowLevelMin(), display.GetWindowLevelMax()), (0, 100))
        self.assertTrue(display.GetApplyThreshold(), "Where nothing was read the image stays as it is.")
        self.assertLess(1, display.GetLowerThreshold())
        color = [0.0] * 4
        display.GetColorNode().GetColor(100, color)
        self.assertGreater(color[0], 0.9)

        self.panel.viewer.page_to(5)
        self.assertIs(self.shown(), node, "Paging keeps it.")
        driver.click(ui.showResult)
        self.assertIsNotNone(self.shown(), "The same case keeps it.")
        self.assertTrue(ui.showAttention.checked)
        driver.click(ui.showAttention)
        self.assertIsNone(self.shown())
        self.assertEqual(self.maps(), [])

        driver.click(ui.showAttention)
        driver.choose(ui.resultCase, "P02")
        self.assertTrue(ui.showAttention.isHidden(), "This case has none.")
        driver.click(ui.showResult)
        self.assertEqual(self.maps(), [])
        driver.choose(ui.resultCase, "P01")
        self.assertFalse(ui.showAttention.checked)
        driver.click(ui.showAttention)
        self.assertEqual(len(self.maps()), 1)
        self.panel.session.study.drop_predictions(0)
        self.panel.session.refresh()
        self.assertEqual(self.maps(), [], "There is no such prediction any more.")

        self.predict("P01")
        driver.click(ui.showAttention)
        saved = self.folder / "scene.mrb"
        self.assertTrue(slicer.util.saveScene(str(saved)))
        driver.click(ui.closeStudy)
        self.assertEqual(self.maps(), [])
        self.assertTrue(ui.showAttention.isHidden())
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(str(saved))
        driver.process(0.3)
        self.assertEqual(self.maps(), [])
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")  # may get the map's ID
        self.assertIsNone(self.shown())
        self.assertEqual(self.told, [])

    def maps(self):
        """Return the maps in the scene."""
        found = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [node for node in found if node.GetAttribute("VQBEGAL.Kind") == "attention"]

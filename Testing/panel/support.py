"""What the scenarios share: a panel, phantoms in the scene, and a study with its first round.

Runs on the stand-in and in the application alike: only qt, slicer and the panel itself are used.
"""

import shutil
import tempfile
import unittest
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import driver
import slicer

TRAINING = 240
"""Seconds that a tiny round may take on a slow machine."""


class PanelScenario(unittest.TestCase):
    """A person in front of a fresh panel and an empty scene."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        self.folder = Path(tempfile.mkdtemp(prefix="vqbegal-scenario-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.panel = driver.open_panel()
        self.ui = self.panel.ui
        self.addCleanup(self.close)
        self.told = []
        for name in ("errorDisplay", "warningDisplay"):
            patch = mock.patch.object(slicer.util, name, side_effect=lambda text, *a, **k: self.told.append(text))
            patch.start()
            self.addCleanup(patch.stop)

    def close(self):
        """Let go of the study, so that the next scenario starts afresh."""
        driver.open_panel().session.close()
        slicer.mrmlScene.Clear(0)
        driver.process(0.1)

    @contextmanager
    def answering(self, answer):
        """Answer questions; yields the list of what was asked."""
        asked = []
        with mock.patch.object(
            slicer.util, "confirmOkCancelDisplay", side_effect=lambda text, *a, **k: asked.append(text) or answer
        ):
            yield asked

    def wait_for_job(self, seconds=TRAINING):
        """Wait until nothing goes on in the background."""
        driver.wait_until(lambda: self.panel.session.work is None, seconds, "the job to end")

    def new_study(self, name="study"):
        """Create a tiny study as a person does."""
        ui = self.ui
        driver.choose(ui.preset, "tiny")
        ui.studyPath.currentPath = str(self.folder / name)
        ui.seedBudget.value = 4
        ui.roundBudget.value = 4
        driver.click(ui.createStudy)
        self.assertEqual(self.told, [])
        self.panel.session.configure({"steps": 20})
        return Path(self.panel.session.study.folder)

    def add_phantoms(self, count=3, *, mr=True, reference=True):
        """Load phantoms into the scene and add them as cases; the last one validates where it has its reference."""
        from VQBEGALPanel import sampledata

        ui = self.ui
        pairs = sampledata.load_phantoms(sampledata.PATIENTS)[-count:]
        finished = slicer.util.getNode(f"Phantom {sampledata.PATIENTS} reference") if reference else None
        for number, (ct, mr_node) in enumerate(pairs, 1):
            last = number == count and reference
            ui.ctVolume.setCurrentNode(ct)
            ui.mrVolume.setCurrentNode(mr_node if mr else None)
            ui.referenceSegmentation.setCurrentNode(finished if last else None)
            driver.choose(ui.newSplit, "validation" if last else "train")
            driver.type_text(ui.caseName, f"P{number:02d}")
            driver.click(ui.addCase)
            self.wait_for_job(60)
        self.assertEqual(self.told, [])

    def first_round(self, count=3):
        """Create a study with cases and choose its first slices."""
        folder = self.new_study()
        self.add_phantoms(count)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        return folder

    def paint(self, request):
        """Paint the organ on a slice: where the phantom's CT is as bright as its liver."""
        from VQBEGALPanel.scene import segment_ids

        scene = self.panel.session.scene
        volume = scene.volume(request.case, "primary")
        voxels = slicer.util.arrayFromVolume(volume)
        plane = (voxels[request.slice] > 80) & (voxels[request.slice] < 160)
        node = scene.annotation(request.case)
        driver.paint(node, segment_ids(node)[0], volume, 0, request.slice, plane)
        return plane

    def annotate(self, count):
        """Paint and finish slices, one after the other, as the panel brings them up."""
        driver.select_row(self.ui.requestsTable, 0)
        with self.answering(True):  # a slice may have nothing to paint
            for _number in range(count):
                self.paint(self.panel.slices.selected())
                driver.click(self.ui.done)
        self.assertEqual(self.told, [])

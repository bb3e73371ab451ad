"""First use: what is missing is installed on request; sample data; memory that runs short."""

import unittest
from unittest import mock

import driver
import slicer
from support import PanelScenario
from VQBEGALPanel import dependencies, sampledata


class FirstUse(PanelScenario):
    """A fresh application."""

    def test_packages_are_installed_only_on_request_and_torch_through_its_extension(self):
        lacking = ["safetensors>=0.4", dependencies.TORCH]
        with (
            mock.patch.object(dependencies, "missing", side_effect=lambda: list(lacking)),
            mock.patch.object(slicer.util, "pip_install") as pip,
            mock.patch.dict("sys.modules", {"slicer.packaging": None, "PyTorchUtils": None}),
        ):
            self.panel.enter()
            self.assertFalse(self.ui.setupFrame.isHidden())
            self.assertFalse(self.ui.createStudy.enabled)
            pip.assert_not_called()
            driver.click(self.ui.install)
            pip.assert_called_once_with(["safetensors>=0.4"])
            self.assertIn("Extensions Manager", self.told.pop())
            lacking.clear()
            self.panel.enter()
        self.assertTrue(self.ui.setupFrame.isHidden())

    def test_torch_comes_from_its_extension(self):
        lacking = [dependencies.TORCH]

        class Logic:
            def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
                self.asked, self.version = askConfirmation, torchVersionRequirement
                lacking.clear()

        logic = Logic()
        with (
            mock.patch.object(dependencies, "missing", side_effect=lambda: list(lacking)),
            mock.patch.dict("sys.modules", {"PyTorchUtils": mock.Mock(PyTorchUtilsLogic=lambda: logic)}),
        ):
            self.panel.enter()
            driver.click(self.ui.install)
            self.assertEqual(self.told, [])
            self.assertTrue(self.ui.setupFrame.isHidden())
        self.assertTrue(logic.asked)
        self.assertEqual(logic.version, ">=2.2")

    def test_an_installation_that_fails_is_told(self):
        with (
            mock.patch.object(dependencies, "missing", return_value=["safetensors>=0.4"]),
            mock.patch.object(slicer.util, "pip_install", side_effect=RuntimeError("no network")),
            mock.patch.dict("sys.modules", {"slicer.packaging": None}),
        ):
            self.panel.enter()
            driver.click(self.ui.install)
        self.assertIn("no network", self.told.pop())
        self.panel.enter()

    @unittest.skipUnless(hasattr(slicer.modules, "sampledata"), "This application has no Sample Data module.")
    def test_sample_data_is_registered(self):
        names = [source.sampleName for source in slicer.modules.sampleDataSources[sampledata.CATEGORY]]
        self.assertEqual(len(names), 2 + len(sampledata.PUBLIC))
        first = slicer.modules.sampleDataSources[sampledata.CATEGORY][0]
        first.customDownloader(first)
        self.assertTrue(slicer.util.getNode("Phantom 1 CT"))
        self.assertTrue(slicer.util.getNode("Phantom 1 MR"))

    def test_volumes_are_unloaded_when_memory_is_short_and_paintings_stay(self):
        self.first_round()
        requests = self.panel.annotating.requests()
        other = next(item.rank for item in requests if item.case != requests[0].case)
        driver.select_row(self.ui.requestsTable, 0)
        painted = self.paint(requests[0])
        scene = self.panel.session.scene
        with mock.patch("VQBEGALPanel.scene.memory_is_short", return_value=True):
            driver.select_row(self.ui.requestsTable, other)
        self.assertIsNone(scene.find(requests[0].case, "primary"))
        self.assertIsNotNone(scene.find(requests[other].case, "primary"))
        self.assertIn("was unloaded", self.ui.log.plainText)
        driver.select_row(self.ui.requestsTable, 0)
        self.assertEqual(self.told, [])
        kept = scene.mask(requests[0].case, "annotation")[requests[0].slice]
        self.assertTrue((kept == painted).all())

"""What the scenarios of export and PACS share: a case from DICOM with results, servers, and a real Orthanc.

Runs on the stand-in and in the application alike. Its files lie beside this folder and are found by their path,
because no package may be called Testing inside the application.
"""

import os
import sys
import unittest
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import driver
import numpy as np
import slicer
from support import PanelScenario
from VQBEGALPanel.creatorfield import CREATOR, KEEP_CREATOR
from VQBEGALPanel.exportsection import FOLDER
from VQBEGALPanel.servers import PROFILES

_TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(part) for part in (_TESTING, _TESTING / "pacs") if str(part) not in sys.path]

PASSWORD = "pass-Wört-4711"
"""Of the Orthanc of the tests."""


class ClinicScenario(PanelScenario):
    """A study whose first case came from DICOM, with a prediction and two annotated slices."""

    def setUp(self):
        super().setUp()
        places = mock.patch.dict(os.environ, {"VQBEGAL_CONFIG": str(self.folder / "settings")})
        places.start()
        self.addCleanup(places.stop)
        settings = slicer.app.userSettings()
        for key in (PROFILES, CREATOR, KEEP_CREATOR, FOLDER):
            self.addCleanup(settings.setValue, key, settings.value(key, ""))
            settings.setValue(key, "")
        self.panel.session.refresh()

    def clinical_study(self, *, size=48, slices=8):
        """Create the study, and open the Export section."""
        from dicom_series import phantom_series

        self.images = phantom_series(self.folder / "dicom", size=size, slices=slices)
        self.new_study()
        table = self.folder / "cases.csv"
        parts = [str(self.folder / "dicom" / part) for part in ("ct", "mr")]
        table.write_text(f"case,primary,auxiliary,split\nP01,{parts[0]},{parts[1]},train\n", encoding="utf-8")
        self.ui.caseTable.currentPath = str(table)
        driver.click(self.ui.addFolders)
        self.wait_for_job(60)
        self.assertEqual(self.told, [])
        self.give_results("P01", self.images.ct_labels.voxels)
        self.open_section()

    def give_results(self, case, voxels):
        """Keep a prediction of a case, and annotate two of its slices: one without the organ, one full of it."""
        study = self.panel.session.study
        grid = study.grid(case)
        predicted = (voxels != 0).astype(np.uint8)
        study.put_prediction(0, case, grid.with_voxels(predicted), 2 * predicted.mean(axis=(1, 2)))
        drawn = np.zeros_like(predicted)
        drawn[3, 10:20, 10:20] = 1
        study.put_labels(case, grid.with_voxels(drawn), [2, 3], round=0)
        self.predicted, self.drawn = predicted, drawn
        self.corrected = np.where(np.isin(np.arange(len(predicted)), (2, 3))[:, None, None], drawn, predicted)
        self.panel.session.refresh()

    def open_section(self):
        """Unfold section 6, and fold the others."""
        ui = self.ui
        for section in (ui.studySection, ui.casesSection, ui.roundSection, ui.slicesSection, ui.resultsSection):
            section.collapsed = True
        ui.exportSection.collapsed = False
        self.checked()

    def checked(self):
        """Wait for the checklist, and return its text."""
        driver.process(0.05)
        driver.wait_until(lambda: self.panel.export.checklist.is_current, 20, "the checklist")
        return self.ui.exportChecks.text

    def choose(self, what, kind):
        """Choose what is exported and as what; returns the checklist."""
        driver.choose(self.ui.exportWhat, what)
        driver.choose(self.ui.exportFormat, kind)
        return self.checked()

    def save(self, path):
        """Write the choice to a file, and wait for it."""
        self.ui.exportPath.currentPath = str(path)
        driver.click(self.ui.saveResult)
        self.wait_for_job(120)
        return path

    def add_server(self, name, url, *, password="", user="", plain=True, keyring=False):
        """Add a server through its window, as a person does."""
        ui = self.servers_window()
        driver.click(ui.newServer)
        driver.type_text(ui.serverName, name)
        driver.type_text(ui.serverUrl, url)
        ui.serverPlain.checked = plain
        if url.startswith("http"):
            driver.choose(ui.serverAuth, "basic" if user else "none")
            if user:
                driver.type_text(ui.serverUser, user)
            if password:
                driver.type_text(ui.serverPassword, password)
            if keyring:
                ui.rememberPassword.checked = True
        driver.click(ui.saveServer)
        self.assertIn("is saved", ui.serverNote.text)
        driver.click(ui.closeServers)

    def servers_window(self):
        """Open the window of the servers, and return its widgets."""
        self.panel.servers_dialog.show(self.ui.exportServer.currentText)
        driver.process()
        return self.panel.servers_dialog.window.ui


@contextmanager
def orthanc(folder):
    """Run a real Orthanc; the test is skipped where there is none, except where CI is set."""
    import orthanc as helper

    if problem := helper.missing():
        if os.environ.get("CI"):
            raise AssertionError(problem)
        raise unittest.SkipTest(problem)
    with helper.start_orthanc(folder) as server:
        yield server


def upload(server, paths):
    """Store DICOM files in an Orthanc through its own interface."""
    for path in paths:
        server.rest("/instances", method="POST", data=path.read_bytes())

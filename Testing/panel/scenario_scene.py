"""The scene and the study's folder: closed, deleted, reloaded, locked, full."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

import driver
import slicer
from support import PanelScenario
from VQBEGALPanel import jobs
from VQBEGALPanel.paths import library_root

HOLDER = """
import sys, time
from VQBEGALLib.study import Study
with Study.open(sys.argv[1]).writing("another application"):
    print("held", flush=True)
    time.sleep(600)
"""


class Scene(PanelScenario):
    """Nothing crashes, nothing is lost."""

    def test_deleted_nodes_come_back_from_the_study(self):
        self.first_round()
        driver.select_row(self.ui.requestsTable, 0)
        request = self.panel.slices.selected()
        painted = self.paint(request)
        driver.click(self.ui.done)
        scene = self.panel.session.scene
        for kind in ("annotation", "primary", "auxiliary"):
            slicer.mrmlScene.RemoveNode(scene.find(request.case, kind))
        driver.process(0.2)
        driver.select_row(self.ui.requestsTable, 1)
        driver.select_row(self.ui.requestsTable, 0)
        self.assertEqual(self.told, [])
        self.assertTrue((scene.mask(request.case, "annotation")[request.slice] == painted).all())

    def test_closed_scene_keeps_the_study_open(self):
        self.first_round()
        self.annotate(1)
        slicer.mrmlScene.Clear(0)
        driver.process(0.2)
        self.assertIsNotNone(self.panel.session.study)
        self.assertEqual(self.panel.annotating.counter().done, 1)
        self.annotate(1)
        self.assertEqual(self.panel.annotating.counter().done, 1, "The first row was done again.")
        driver.select_row(self.ui.requestsTable, 1)
        self.paint(self.panel.slices.selected())
        driver.click(self.ui.done)
        self.assertEqual(self.panel.annotating.counter().done, 2)

    def test_scene_closed_while_a_job_runs(self):
        self.first_round()
        self.annotate(4)
        driver.click(self.ui.nextRound)
        driver.process(1)
        slicer.mrmlScene.Clear(0)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        self.assertEqual(self.panel.session.current().index, 1)

    def test_reload_during_a_job_leaves_no_orphan(self):
        self.first_round()
        self.annotate(4)
        driver.click(self.ui.nextRound)
        driver.process(1)
        folder = self.panel.session.study.folder
        process = self.panel.session.work.job._process
        self.panel = driver.reload_panel()
        self.ui = self.panel.ui
        self.assertIsNotNone(process.poll())
        self.ui.studyPath.currentPath = str(folder)
        driver.click(self.ui.openStudy)
        self.assertEqual(self.told, [])
        self.assertEqual(self.panel.annotating.counter().done, 4)

    def test_locked_study_is_told(self):
        folder = self.first_round()
        self.panel.session.close()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(library_root()), *sys.path])}
        holder = subprocess.Popen(
            [str(jobs.python()), "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, env=environment
        )
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.assertEqual(holder.stdout.readline().strip(), b"held")
        self.ui.studyPath.currentPath = str(folder)
        driver.click(self.ui.openStudy)
        self.assertIn("another application", self.told.pop())
        self.assertIsNone(self.panel.session.study)
        holder.kill()
        holder.wait()
        holder.stdout.close()
        driver.click(self.ui.openStudy)
        self.assertEqual(self.told, [])
        self.assertIsNotNone(self.panel.session.study)

    @unittest.skipUnless(
        sys.platform.startswith("linux") and os.geteuid() == 0, "mounts a small disk, as root on Linux"
    )
    def test_full_disk_loses_nothing(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True)
        if mounted.returncode:
            self.skipTest("No small disk can be mounted here.")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], capture_output=True)
        self.new_study("disk/study")
        self.add_phantoms(2)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        driver.select_row(self.ui.requestsTable, 0)
        request = self.panel.slices.selected()
        painted = self.paint(request)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        driver.click(self.ui.done)
        self.assertRegex(self.told.pop(), "disk|space")
        self.assertEqual(self.panel.slices.selected(), request)
        kept = self.panel.session.scene.mask(request.case, "annotation")[request.slice]
        self.assertTrue((kept == painted).all())
        filler.unlink()
        driver.click(self.ui.done)
        self.assertEqual(self.told, [])
        self.assertEqual(self.panel.annotating.counter().done, 1)


class BadInput(PanelScenario):
    """What a person cannot know is said in the panel."""

    def test_nothing_selected(self):
        self.assertFalse(self.ui.addCase.enabled)
        self.assertIn("study", self.ui.addCase.toolTip)
        self.new_study()
        self.assertIn("Choose the CT volume", self.ui.addCase.toolTip)
        self.assertIn("Add a case", self.ui.nextRound.toolTip)
        self.assertIn("Add a case", self.ui.status.text)

    def test_volume_with_nan(self):
        import numpy as np

        self.new_study()
        voxels = np.zeros((6, 32, 32), np.float32)
        voxels[2, 3, 4] = np.nan
        node = slicer.util.addVolumeFromArray(voxels, name="bad")
        self.ui.ctVolume.setCurrentNode(node)
        driver.click(self.ui.addCase)
        self.wait_for_job(60)
        self.assertIn("NaN", self.told.pop())
        self.assertEqual(self.panel.session.study.subjects, {})

    def test_folder_that_is_no_study(self):
        (self.folder / "something.txt").write_text("x")
        self.ui.studyPath.currentPath = str(self.folder)
        self.assertFalse(self.ui.createStudy.enabled)
        self.assertIn("not empty", self.ui.createStudy.toolTip)
        self.assertFalse(self.ui.openStudy.enabled)
        self.assertIn("no study", self.ui.openStudy.toolTip)

    def test_damaged_study_is_told(self):
        folder = self.new_study()
        self.panel.session.close()
        Path(folder / "study.json").write_text("{")
        self.ui.studyPath.currentPath = str(folder)
        driver.click(self.ui.openStudy)
        self.assertTrue(self.told.pop())
        self.assertIsNone(self.panel.session.study)

"""What can go wrong in the background, with real processes."""

import os
import signal
import stat
import subprocess
import sys
import time
import unittest
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import driver
from support import PanelScenario
from VQBEGALPanel import jobs
from VQBEGALPanel.estimate import Estimate

POSIX = unittest.skipIf(os.name == "nt", "ends processes as POSIX does")


def is_running(pid):
    """Tell whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Jobs(PanelScenario):
    """Cancel, kill, too little memory, missing torch."""

    def ready_to_train(self):
        folder = self.first_round()
        self.annotate(4)
        self.panel.session.configure({"steps": 100000})
        return folder

    @contextmanager
    def replaced_python(self, script):
        """Let jobs run a shell script instead of the application's Python."""
        path = self.folder / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        with mock.patch.object(jobs, "python", return_value=path):
            yield

    def start_training(self):
        driver.click(self.ui.trainOnly)
        driver.wait_until(lambda: self.stage() == "train", 120, "training to start")

    def stage(self):
        work = self.panel.session.work
        return "" if work is None else work.progress.stage

    def test_cancel_works_within_two_seconds_and_keeps_the_study_whole(self):
        self.ready_to_train()
        self.panel.session.estimate = Estimate(1, 1, 0, "cpu")
        self.start_training()
        pid = self.panel.session.work.job.pid
        self.assertFalse(self.ui.done.enabled)
        self.assertIn("going on", self.ui.done.toolTip)
        driver.select_row(self.ui.requestsTable, 2)  # paging works meanwhile
        self.assertEqual(self.panel.slices.selected().rank, 2)
        began = time.monotonic()
        driver.click(self.ui.cancelJob)
        driver.wait_until(lambda: self.panel.session.work is None, 5, "the job to be cancelled")
        self.assertLess(time.monotonic() - began, 2.5)
        self.assertFalse(is_running(pid))
        self.assertEqual(self.told, [])
        self.assertEqual([item.text for item in self.panel.session.study.check() if item.level == "error"], [])
        self.assertTrue(self.ui.done.enabled)

    @POSIX
    def test_killed_process_is_told_and_can_be_started_again(self):
        self.ready_to_train()
        self.panel.session.estimate = Estimate(1, 1, 0, "cpu")
        self.start_training()
        os.killpg(self.panel.session.work.job.pid, signal.SIGKILL)
        self.wait_for_job(20)
        self.assertIn("ended unexpectedly", self.told.pop())
        self.panel.session.configure({"steps": 20})
        driver.click(self.ui.trainOnly)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        self.assertTrue(self.panel.session.current().trained)

    @unittest.skipUnless(sys.platform.startswith("linux"), "limits a process's memory as Linux does")
    def test_too_little_memory_is_told_with_what_to_do(self):
        self.ready_to_train()
        self.panel.session.configure({"batch_size": 4096, "steps": 20})
        self.panel.session.estimate = Estimate(1, 1, 0, "cpu")
        with self.replaced_python(f'ulimit -v 2000000\nexec "{jobs.python()}" "$@"'):
            driver.click(self.ui.trainOnly)
            self.wait_for_job(120)
        self.assertIn("too little memory", self.told.pop())
        self.assertEqual([item.text for item in self.panel.session.study.check() if item.level == "error"], [])

    @POSIX
    def test_broken_torch_is_told(self):
        self.first_round()
        self.annotate(4)
        broken = self.folder / "broken" / "torch"
        broken.mkdir(parents=True)
        (broken / "__init__.py").write_text("raise ImportError('half installed', name='torch')\n")
        run = f"import sys; sys.path.insert(0, {str(broken.parent)!r}); {jobs.START}"
        with self.replaced_python(f'shift 2\nexec "{jobs.python()}" -c "{run}" "$@"'):
            driver.click(self.ui.trainOnly)
            self.wait_for_job(60)
        self.assertIn("PyTorch", self.told.pop())
        self.assertTrue(self.ui.done.enabled, "The study stays usable.")

    def test_a_package_in_the_name_of_pythons_own_modules_breaks_no_job(self):
        """As ``dataclasses`` from the package index, which some packages ask for."""
        packages = self.folder / "site-packages"
        packages.mkdir()
        (packages / "dataclasses.py").write_text("raise RuntimeError('not the one')")
        with mock.patch.object(sys, "path", [*sys.path, str(packages)]):
            self.first_round()
        self.assertEqual(self.told, [])

    def test_missing_torch_greys_with_the_reason(self):
        self.first_round()
        with mock.patch("VQBEGALPanel.dependencies.missing", return_value=["torch>=2.2"]):
            self.panel.enter()
            self.assertTrue(self.ui.setupFrame.visible or not self.ui.setupFrame.isHidden())
            self.assertFalse(self.ui.nextRound.enabled)
            self.assertIn("torch", self.ui.nextRound.toolTip)
            self.assertTrue(self.ui.install.enabled)
        self.panel.enter()
        self.assertNotIn("torch", self.ui.nextRound.toolTip)

    @POSIX
    def test_closing_the_study_leaves_no_orphan(self):
        self.ready_to_train()
        self.panel.session.estimate = Estimate(1, 1, 0, "cpu")
        self.start_training()
        pid = self.panel.session.work.job.pid
        with self.answering(True) as asked:
            driver.click(self.ui.closeStudy)
        self.assertIn("going on", asked[0])
        self.assertFalse(is_running(pid))

    @POSIX
    def test_a_killed_application_leaves_no_orphan(self):
        self.ready_to_train()
        self.panel.session.estimate = Estimate(1, 1, 0, "cpu")
        application = subprocess.Popen(["sleep", "600"])
        self.addCleanup(application.wait)
        self.addCleanup(application.kill)
        with mock.patch.object(jobs, "owner", return_value=application.pid):
            self.start_training()
        pid = self.panel.session.work.job.pid
        application.kill()
        application.wait()
        self.wait_for_job(10)
        self.assertFalse(is_running(pid))
        self.told.clear()
        self.assertEqual([item.text for item in self.panel.session.study.check() if item.level == "error"], [])

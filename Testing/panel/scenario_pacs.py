"""Servers, sending, the queue, and cases from the PACS, against a real Orthanc."""

import os
import signal
import sys
import unittest
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from unittest import mock

import driver
import slicer
from clinic import PASSWORD, ClinicScenario, orthanc, upload
from VQBEGALPanel import jobs

PLANTED = ("Planted", "PID-PLANTED-4711", "19330211", "ACC-PLANTED-0815")
"""What the images say of their patient."""


class Servers(ClinicScenario):
    """Profiles are kept, passwords are not."""

    def test_a_profile_is_kept_without_its_password(self):
        self.add_server("PACS-A", "https://pacs.example.org/dicom-web", user="jane", password="geheim-4711")
        servers = self.panel.servers_dialog._servers
        server = servers.profiles()["PACS-A"]
        self.assertEqual((server.user, server.auth), ("jane", "basic"))
        self.assertEqual(servers.secret(server).reveal(), "geheim-4711")
        settings = slicer.app.userSettings()
        settings.sync()
        kept = Path(settings.fileName()).read_bytes()
        self.assertIn(b"pacs.example.org", kept)
        self.assertNotIn(b"geheim", kept)
        self.assertNotIn("geheim", repr(servers.secret(server)))
        self.panel = driver.reload_panel()
        self.ui = self.panel.ui
        servers = self.panel.servers_dialog._servers
        kept = servers.profiles()["PACS-A"]
        self.assertEqual(kept.to_json(), server.to_json())
        self.assertTrue(servers.lacks_secret(kept), "A password outlives no reload.")
        ui = self.servers_window()
        self.assertEqual(ui.serverUrl.text, server.url)
        self.assertEqual(ui.serverPassword.text, "")
        with self.answering(True):
            driver.click(ui.removeServer)
        self.assertEqual(servers.profiles(), {})

    def test_a_password_is_for_one_address_only(self):
        self.add_server("PACS-A", "https://pacs.example.org/dicom-web", user="jane", password="geheim-4711")
        ui = self.servers_window()
        driver.type_text(ui.serverUrl, "https://elsewhere.example.org/dicom-web")
        driver.click(ui.saveServer)
        servers = self.panel.servers_dialog._servers
        self.assertTrue(servers.lacks_secret(servers.profiles()["PACS-A"]))

    def test_what_is_wrong_with_an_address_is_said_beside_it(self):
        ui = self.servers_window()
        driver.click(ui.newServer)
        driver.type_text(ui.serverName, "PACS-A")
        for url, words in (
            ("http://pacs.example.org/dicom-web", "not encrypted"),
            ("https://jane:geheim@pacs.example.org", "holds a user"),
            ("pacs.example.org", "not one of a PACS"),
        ):
            driver.type_text(ui.serverUrl, url)
            driver.choose(ui.serverAuth, "none")
            driver.click(ui.saveServer)
            self.assertIn(words, ui.serverNote.text)
            self.assertNotIn("geheim", ui.serverNote.text)
        self.assertEqual(self.panel.servers_dialog._servers.profiles(), {})
        driver.type_text(ui.serverUrl, "dicoms://PACS@pacs.example.org:2762")
        self.assertFalse(ui.serverPassword.enabled)
        self.assertIn("certificate", ui.serverPassword.toolTip)
        driver.click(ui.saveServer)
        self.assertIn("is saved", ui.serverNote.text)

    def test_the_keyring_keeps_a_password_where_there_is_one(self):
        import keyring
        from keyring.backend import KeyringBackend

        class Memory(KeyringBackend):
            priority = 5
            kept: ClassVar = {}

            def set_password(self, service, username, password):
                self.kept[service, username] = password

            def get_password(self, service, username):
                return self.kept.get((service, username))

            def delete_password(self, service, username):
                del self.kept[service, username]

        ui = self.servers_window()
        if not ui.rememberPassword.enabled:
            self.assertIn("keyring", ui.rememberPassword.toolTip)
        driver.click(ui.closeServers)
        self.addCleanup(keyring.set_keyring, keyring.get_keyring())
        keyring.set_keyring(Memory())
        self.add_server("PACS-A", "https://pacs.example.org/dicom-web", user="jane", password="geheim", keyring=True)
        self.assertEqual(list(Memory.kept.values()), ["geheim"])
        self.panel = driver.reload_panel()
        self.ui = self.panel.ui
        servers, ui = self.panel.servers_dialog._servers, self.servers_window()
        self.assertIn("known", ui.serverPassword.placeholderText)
        self.assertEqual(servers.secret(servers.profiles()["PACS-A"]).reveal(), "geheim")
        with self.answering(True):
            driver.click(ui.removeServer)
        self.assertEqual(Memory.kept, {})


class Sending(ClinicScenario):
    """From the Export section to the server and back."""

    def setUp(self):
        super().setUp()
        running = orthanc(self.folder / "orthanc")
        self.server = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)
        self.clinical_study()
        self.seen = b""  # what the jobs' processes showed of themselves, and wrote
        self.watch_jobs()
        self.add_server("PACS-A", self.server.url, user=self.server.user)
        self.choose("corrected", "seg")

    def watch_jobs(self):
        """Keep the command line, the environment, events and errors of every job."""
        start, clean = jobs.Job.start, jobs.Job._clean

        def started(job):
            start(job)
            if sys.platform.startswith("linux"):
                place = Path(f"/proc/{job.pid}")
                self.seen += (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            self.seen += repr(job).encode()

        def cleaned(job):
            for name in ("events", "errors"):
                self.seen += (job._folder / name).read_bytes()
            clean(job)

        for name, replaced in (("start", started), ("_clean", cleaned)):
            patch = mock.patch.object(jobs.Job, name, replaced)
            patch.start()
            self.addCleanup(patch.stop)

    def send(self, *, password=PASSWORD):
        """Press Send, with the password where it is given, and wait."""
        if password:
            driver.type_text(self.ui.exportPassword, password)
        self.checked()
        driver.click(self.ui.sendResult)
        self.assertEqual(self.ui.exportPassword.text, "")
        self.wait_for_job(60)

    def stored(self):
        """Return the objects on the server."""
        return self.server.instances()

    def waiting(self):
        return self.ui.queueTable.rowCount

    def test_sent_and_read_back_and_nobody_saw_the_password(self):
        self.send()
        self.assertEqual(self.told, [])
        self.assertIn("1 sent to PACS-A", self.ui.exportOutcome.text)
        self.assertEqual(self.waiting(), 0)
        (uid,) = self.stored()
        study = self.server.rest("/tools/find", method="POST", data=b'{"Level":"Study","Query":{},"Expand":true}')
        self.assertEqual(study[0]["MainDicomTags"]["StudyInstanceUID"], self.images.study_uid)
        self.assertTrue(uid)
        self.assertIn("1 sent to PACS-A", self.ui.log.plainText)
        self.send(password="")  # it is known now; a second object gets a UID of its own
        self.assertEqual(len(self.stored()), 2)
        self.nothing_leaked()

    def nothing_leaked(self):
        """Look for the password and for the patient everywhere they must not be."""
        slicer.app.userSettings().sync()
        scene = self.folder / "scene.mrml"
        slicer.util.saveScene(str(scene))
        study = [path for path in self.panel.session.study.folder.rglob("*") if path.is_file()]
        places = {path.name: path.read_bytes() for path in [scene, Path(slicer.app.userSettings().fileName()), *study]}
        places |= {"jobs": self.seen, "log": "\n".join(self.panel.session.log).encode()}
        for name, text in places.items():
            for secret in (PASSWORD, "pass-W", *PLANTED):
                self.assertNotIn(secret.encode(), text, f"{secret} is in {name}.")

    def test_a_server_that_is_down_delays_and_loses_nothing(self):
        self.server.stop()
        self.send()
        self.assertIn("PACS-A", self.told.pop())
        self.assertIn("waits", self.ui.exportOutcome.text)
        self.assertEqual(self.waiting(), 1)
        self.assertIn("1 object waits for PACS-A", self.ui.queueText.text)
        self.assertFalse(self.ui.queueGroup.isHidden())
        driver.click(self.ui.sendAgain)
        self.wait_for_job(60)
        self.assertEqual(self.waiting(), 1)
        self.told.clear()
        self.server.start()
        driver.click(self.ui.sendAgain)
        self.wait_for_job(60)
        self.assertEqual(self.told, [])
        self.assertEqual(self.waiting(), 0)
        self.assertTrue(self.ui.queueGroup.isHidden())
        self.assertEqual(len(self.stored()), 1)
        self.nothing_leaked()

    def test_what_waits_goes_to_another_address_only_after_asking(self):
        self.server.stop()
        self.send()
        self.told.clear()
        servers = self.panel.servers_dialog._servers
        old = servers.profiles()["PACS-A"]
        moved = replace(old, url=old.url.replace("127.0.0.1", "localhost"))
        servers.save(moved, instead_of="PACS-A")
        servers.keep(moved, PASSWORD)
        self.panel.session.refresh()
        self.server.start()
        with self.answering(False) as asked:
            driver.click(self.ui.sendAgain)
        self.assertIn("localhost", asked[0])
        self.assertEqual(self.stored(), [])
        with self.answering(True):
            driver.click(self.ui.sendAgain)
        self.wait_for_job(60)
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(len(self.stored()), 1)

    def test_a_damaged_entry_is_said_and_can_be_removed(self):
        self.server.stop()
        self.send()
        self.told.clear()
        (entry,) = (self.panel.session.study.folder / "outbox").iterdir()
        (entry / "item.json").write_text("[]")
        self.panel.session.refresh()
        self.assertIn("damaged", self.ui.queueText.text)
        self.assertIn("damaged", self.ui.sendAgain.toolTip)
        with self.answering(True):
            driver.click(self.ui.removeWaiting)
        self.wait_for_job(30)
        self.assertTrue(self.ui.queueGroup.isHidden())

    def test_what_waits_can_be_given_up(self):
        self.server.stop()
        self.send()
        self.told.clear()
        with self.answering(False):
            driver.click(self.ui.removeWaiting)
        self.assertEqual(self.waiting(), 1)
        with self.answering(True) as asked:
            driver.click(self.ui.removeWaiting)
            self.wait_for_job(60)
        self.assertIn("PACS-A", asked[0])
        self.assertEqual(self.waiting(), 0)

    def test_a_wrong_password_is_said_and_can_be_corrected(self):
        driver.type_text(self.ui.exportPassword, "wrong-4711")
        driver.click(self.ui.testServer)
        driver.wait_until(lambda: "Asking" not in self.ui.serverAnswer.text, 30, "the server's answer")
        self.assertIn("password", self.ui.serverAnswer.text)
        self.assertNotIn("wrong-4711", self.ui.serverAnswer.text)
        self.send(password="wrong-4711")
        self.assertIn("password", self.told.pop())
        self.assertEqual(self.stored(), [])
        self.send()
        self.assertEqual(self.told, [])
        driver.click(self.ui.testServer)
        driver.wait_until(lambda: "✓" in self.ui.serverAnswer.text, 30, "the server's answer")
        self.assertTrue(self.stored())

    @unittest.skipIf(os.name == "nt", "stops a process as POSIX does")
    def test_cancelled_while_sending_and_sent_later_without_a_duplicate(self):
        self.choose("corrected", "sc")
        process = self.server._process
        process.send_signal(signal.SIGSTOP)
        try:
            driver.type_text(self.ui.exportPassword, PASSWORD)
            self.checked()
            driver.click(self.ui.sendResult)
            work = self.panel.session.work
            driver.wait_until(lambda: work.progress.stage == "send", 60, "sending to start")
            driver.click(self.ui.cancelExport)
            self.wait_for_job(10)
        finally:
            process.send_signal(signal.SIGCONT)
        self.assertEqual(self.told, [])
        self.assertIn("waits", self.ui.exportOutcome.text)
        self.assertEqual(self.waiting(), 1)
        driver.click(self.ui.sendAgain)
        self.wait_for_job(60)
        self.assertEqual(self.waiting(), 0)
        self.assertEqual(len(set(self.stored())), len(self.stored()))
        self.assertEqual(len(self.stored()), int(self.corrected.any(axis=(1, 2)).sum()))

    def test_c_store(self):
        aet, host, port = self.server.dicom
        self.add_server("PACS-C", f"dicom://{aet}@{host}:{port}")
        driver.choose(self.ui.exportServer, "PACS-C")
        self.assertTrue(self.ui.exportPassword.isHidden())
        driver.click(self.ui.testServer)
        driver.wait_until(lambda: "Asking" not in self.ui.serverAnswer.text, 30, "the server's answer")
        self.assertIn("✓", self.ui.serverAnswer.text)
        self.send(password="")
        self.assertEqual(self.told, [])
        self.assertEqual(len(self.stored()), 1)


class Refused(ClinicScenario):
    """A server that takes some objects and refuses others."""

    def test_what_is_refused_is_listed_with_its_reason_and_waits(self):
        try:
            from fronts import http, scripted, stow_json
        except ImportError as error:  # trustme is among the packages for tests
            self.skipTest(str(error))

        def answer(request, _number):
            if request.method != "POST":
                return http(204)
            return http(200, stow_json([], dict.fromkeys(request.uids(), 0xA700)))

        with scripted(answer) as (url, _requests):
            self.clinical_study()
            self.add_server("PACS-B", url)
            self.choose("prediction", "seg")
            driver.click(self.ui.sendResult)
            self.wait_for_job(60)
            self.assertEqual(self.ui.exportProblems.rowCount, 1)
            self.assertFalse(self.ui.exportProblems.isHidden())
            self.assertIn("were not taken", self.ui.exportOutcome.text)
            self.assertEqual(self.ui.queueTable.rowCount, 1)
            self.assertIn("Refused", self.ui.queueProblem.text)


class FromPacs(ClinicScenario):
    """A CT/MR pair is searched and becomes a case."""

    def setUp(self):
        super().setUp()
        running = orthanc(self.folder / "orthanc")
        self.server = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)

    def test_search_and_load_a_pair(self):
        from dicom_series import phantom_series

        images = phantom_series(self.folder / "dicom", size=48, slices=8)
        upload(self.server, [*images.ct, *images.mr])
        self.new_study()
        self.add_server("PACS-A", self.server.url, user=self.server.user, password=PASSWORD)
        driver.click(self.ui.fromPacs)
        dialog = self.panel.pacs_dialog
        ui = dialog.window.ui
        self.assertFalse(ui.search.enabled)
        self.assertIn("patient ID", ui.search.toolTip)
        driver.type_text(ui.pullPatient, "nobody")  # Return searches
        driver.wait_until(lambda: "Asking" not in ui.searchAnswer.text, 30, "the server's answer")
        self.assertIn("knows no such study", ui.searchAnswer.text)
        driver.type_text(ui.pullPatient, PLANTED[1])
        driver.wait_until(lambda: ui.seriesTable.rowCount == 2, 30, "the series")
        shown = [ui.seriesTable.item(row, column).text() for row in range(2) for column in range(5)]
        self.assertIn("2026-02-03", shown)
        self.assertNotIn("Planted", " ".join(shown))
        self.assertIn("(8)", ui.pullCt.currentText, "One CT series: it is chosen.")
        self.assertTrue(ui.pullMr.currentText.startswith("2026-02-03"))
        driver.choose(ui.pullMr, "")
        self.assertTrue(ui.pull.enabled, "The MR may stay where it is.")
        driver.select_row(ui.seriesTable, next(row for row in range(2) if shown[5 * row + 3] == "MR"))
        driver.click(ui.pull)
        self.wait_for_job(90)
        self.assertEqual(self.told, [])
        self.assertFalse(dialog.window.is_up)
        self.assertEqual(self.ui.casesTable.item(0, 0).text(), "P01")
        self.assertEqual(self.ui.casesTable.item(0, 1).text(), "8")
        study = self.panel.session.study
        self.assertTrue((study.volume("P01").voxels == images.ct_image.voxels).all())
        self.give_results("P01", images.ct_labels.voxels)
        self.open_section()
        self.assertNotIn("✗", self.choose("prediction", "seg"))
        driver.click(self.ui.sendResult)
        self.wait_for_job(60)
        self.assertIn("1 sent", self.ui.exportOutcome.text)

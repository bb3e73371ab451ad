"""The whole path of a study, as a person walks it."""

import json

import driver
import slicer
from support import PanelScenario


class WholePath(PanelScenario):
    """New study, cases, round, annotate, train, result, save and restore the scene, next round."""

    def test_from_a_new_study_to_the_second_round(self):
        folder = self.first_round()
        requests = self.panel.annotating.requests()
        self.assertEqual(len(requests), 4)
        self.assertEqual(self.ui.requestsTable.rowCount, 4)

        self.annotate(4)
        self.assertIn("4 of 4", self.ui.counter.text)
        study = self.panel.session.study
        for request in requests:
            labels = study.labels(request.case)
            self.assertIn(request.slice, labels.annotations)
            painted = self.panel.session.scene.mask(request.case, "annotation")[request.slice]
            self.assertTrue((labels.labelmap.voxels[request.slice] == painted).all())
        self.assertEqual(study.rounds()[0].trained, False, "Done must not start training by itself.")

        driver.click(self.ui.nextRound)
        self.wait_for_job()
        self.assertEqual(self.told, [])
        self.assertTrue(study.rounds()[0].trained)
        self.assertEqual(self.panel.session.current().index, 1)
        self.assertIn("0 of 4", self.ui.counter.text)
        self.assertTrue(study.predictions())

        driver.select_row(self.ui.requestsTable, 0)
        request = self.panel.slices.selected()
        self.assertIsNotNone(request.score)
        self.assertTrue(self.ui.startFromPrediction.enabled)

        driver.choose(self.ui.resultCase, request.case)
        driver.click(self.ui.showResult)
        prediction = self.panel.session.scene.find(request.case, "prediction")
        self.assertIsNotNone(prediction)
        self.assertIsNot(prediction, self.panel.session.scene.find(request.case, "annotation"))
        self.assertTrue(self.ui.showCurve.enabled, "The validation case has a reference.")
        driver.click(self.ui.showCurve)

        driver.select_row(self.ui.requestsTable, 1)
        driver.select_row(self.ui.requestsTable, 0)
        saved = self.folder / "scene.mrb"
        self.assertTrue(slicer.util.saveScene(str(saved)))
        self.panel.session.close()
        slicer.mrmlScene.Clear(0)
        self.assertEqual(self.ui.requestsTable.rowCount, 0)
        slicer.util.loadScene(str(saved))
        driver.process(0.5)
        self.assertEqual(self.panel.session.study.folder, folder)
        self.assertEqual(self.panel.slices.selected(), request)
        self.assertIsNotNone(self.panel.session.scene.find(request.case, "primary"))

        self.annotate(4)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        self.assertEqual(self.panel.session.current().index, 2)
        self.assertEqual(self.told, [])
        dice = [event["proposal_dice"] for event in study.events("annotated") if "proposal_dice" in event]
        self.assertEqual(len(dice), 4)
        self.assertNotIn("seconds", json.dumps(study.events("annotated")))

    def test_a_case_without_mr(self):
        self.new_study()
        self.add_phantoms(2, mr=False)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        driver.select_row(self.ui.requestsTable, 0)
        self.assertEqual(self.told, [])
        self.assertEqual(self.ui.requestsTable.item(0, 3).text(), "–")

    def test_fewer_slices_than_asked(self):
        self.first_round()
        self.annotate(2)
        with self.answering(False) as asked:
            driver.click(self.ui.nextRound)
        self.assertIn("2 of the round's 4 slices are not done", asked[0])
        self.assertIsNone(self.panel.session.work)
        with self.answering(True):
            driver.click(self.ui.nextRound)
            self.wait_for_job()
        self.assertEqual(self.panel.session.current().index, 1)
        self.assertEqual(self.panel.session.budget()["used"], 2)

    def test_skip_and_second_look(self):
        self.first_round()
        driver.select_row(self.ui.requestsTable, 0)
        first = self.panel.slices.selected()
        driver.click(self.ui.skip)
        second = self.panel.slices.selected()
        self.assertNotEqual(first, second)
        driver.click(self.ui.review)
        statuses = [request.status for request in self.panel.annotating.requests()]
        self.assertEqual(statuses, ["skipped", "review", "open", "open"])
        self.assertEqual(self.ui.requestsTable.item(1, 6).text(), "second look")


class Proposals(PanelScenario):
    """The model's prediction as a start: undoable, and never over finished work."""

    def test_start_from_prediction(self):
        self.first_round()
        self.annotate(4)
        driver.click(self.ui.nextRound)
        self.wait_for_job()
        driver.select_row(self.ui.requestsTable, 0)
        request, scene = self.panel.slices.selected(), self.panel.session.scene
        before = scene.mask(request.case, "annotation")
        driver.click(self.ui.startFromPrediction)
        proposed = scene.mask(request.case, "prediction")[request.slice]
        after = scene.mask(request.case, "annotation")
        self.assertTrue((after[request.slice] == proposed).all())
        others = [index for index in range(len(after)) if index != request.slice]
        self.assertTrue((after[others] == before[others]).all(), "Other slices were touched.")
        self.ui.editor.undo()
        self.assertTrue((scene.mask(request.case, "annotation") == before).all())

        with self.answering(True) as asked:
            driver.click(self.ui.done)
        self.assertEqual(self.told, [])
        self.assertIn("Nothing is painted", asked[0])
        driver.select_row(self.ui.requestsTable, 0)
        self.assertFalse(self.ui.startFromPrediction.enabled)
        self.assertIn("finished", self.ui.startFromPrediction.toolTip)

"""Section 6: segmentations as files, with a checklist before them."""

from unittest import mock

import driver
import numpy as np
import qt
import slicer
from clinic import ClinicScenario


class Files(ClinicScenario):
    """Each format is written in the background and read back by another library."""

    def setUp(self):
        super().setUp()
        self.clinical_study()

    def test_labelmaps_hold_the_chosen_result(self):
        from VQBEGALLib.volumes import read_labelmap

        grid = self.panel.session.study.grid("P01")
        expected = {"prediction": self.predicted, "annotation": self.drawn, "corrected": self.corrected}
        kinds = zip(expected, ("nifti", "nrrd", "metaimage"), (".nii.gz", ".seg.nrrd", ".mha"), strict=True)
        for what, kind, ending in kinds:
            with self.subTest(kind):
                checks = self.choose(what, kind)
                self.assertNotIn("✗", checks)
                self.assertTrue(self.ui.exportPath.currentPath.endswith(f"P01-{what}{ending}"))
                path = self.save(self.folder / f"result{ending}")
                self.assertEqual(self.told, [])
                self.assertIn("is written", self.ui.exportOutcome.text)
                found = read_labelmap(path, grid=grid)
                self.assertTrue((found.voxels == expected[what]).all())
        self.assertIn("is written", self.ui.log.plainText)

    def test_dicom_objects_belong_to_the_study_and_name_its_images(self):
        import pydicom

        driver.type_text(self.ui.exportCreator, "Doe^Jane")
        for kind, modality in (("seg", "SEG"), ("seg-labelmap", "SEG"), ("rtstruct", "RTSTRUCT")):
            with self.subTest(kind):
                self.assertNotIn("✗", self.choose("corrected", kind))
                found = pydicom.dcmread(self.save(self.folder / f"{kind}.dcm"))
                self.assertEqual(self.told, [])
                self.assertEqual(found.Modality, modality)
                self.assertEqual(found.StudyInstanceUID, self.images.study_uid)
                if modality == "SEG":
                    self.assertEqual(str(found.ContentCreatorName), "Doe^Jane")
                    self.assertEqual(_frames(found), int(self.corrected.any(axis=(1, 2)).sum()))
        self.choose("corrected", "sc")
        images = sorted(self.save(self.folder / "captures").rglob("*.dcm"))
        self.assertEqual(len(images), int(self.corrected.any(axis=(1, 2)).sum()))
        self.assertNotIn("Planted", self.ui.log.plainText)

    def test_an_existing_file_is_asked_for(self):
        self.choose("prediction", "nifti")
        path = self.folder / "there.nii.gz"
        path.write_bytes(b"precious")
        with self.answering(False) as asked:
            self.save(path)
        self.assertIn("there.nii.gz", asked[0])
        self.assertEqual(path.read_bytes(), b"precious")

    def test_the_creator_is_remembered_only_where_that_is_ticked(self):
        driver.choose(self.ui.exportFormat, "seg")
        driver.type_text(self.ui.exportCreator, "Doe^Jane")
        self.ui.exportCreator.clearFocus()
        driver.process()
        self.assertNotIn("Doe", _settings())
        self.ui.keepCreator.checked = True
        self.assertIn("Doe", _settings())
        self.ui.keepCreator.checked = False
        self.assertNotIn("Doe", _settings())


class SceneSegmentation(ClinicScenario):
    """A segmentation that somebody painted elsewhere in the application."""

    def setUp(self):
        super().setUp()
        self.clinical_study()
        self.volume = self.panel.session.scene.volume("P01", "primary")

    def segmentation(self, *names):
        """Make a segmentation with a block for each name; those that are organs get their code."""
        from VQBEGALPanel.organs import LIVER, Organ, add_segment

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Painted")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        for number, name in enumerate(names):
            organ = LIVER if name == LIVER.name else Organ(name, "", (0.0, 1.0, 0.0))
            mask = np.zeros(slicer.util.arrayFromVolume(self.volume).shape, dtype=np.uint8)
            mask[number + 1 : number + 3, 5 + 10 * number : 20 + 10 * number, 8:30] = 1
            added = add_segment(node, organ, organ.color)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, added, self.volume)
        self.ui.exportSegmentation.setCurrentNode(node)
        return node

    def test_two_segments_are_written_with_names_and_colours(self):
        from VQBEGALLib.volumes import read_labelmap

        node = self.segmentation("Liver", "Lesion")
        checks = self.choose("scene", "nrrd")
        self.assertIn("Lesion", checks)
        self.assertIn("several segments", checks, "The two blocks overlap.")
        path = self.save(self.folder / "painted.seg.nrrd")
        self.assertEqual(self.told, [])
        self.assertIn("segments: 2", self.ui.exportOutcome.text)
        header = path.read_bytes()[:8000]
        self.assertIn(b"Lesion", header)
        self.assertIn(b"10200004", header)
        found = read_labelmap(path, grid=self.panel.session.study.grid("P01")).voxels
        self.assertEqual(set(np.unique(found)), {0, 1, 2})
        second = slicer.util.arrayFromSegmentBinaryLabelmap(
            node, node.GetSegmentation().GetNthSegmentID(1), self.volume
        )
        from VQBEGALPanel.geometry import voxel_order

        order = voxel_order(self.volume, self.panel.session.study.grid("P01"))
        self.assertTrue(((found == 2) == (second[order] != 0)).all())

    def test_a_segment_without_a_code_is_no_dicom_object(self):
        self.segmentation("Lesion")
        checks = self.choose("scene", "seg")
        self.assertIn("Lesion: no code", checks)
        self.assertIn("terminology", checks)
        self.assertFalse(self.ui.saveResult.enabled)
        self.assertIn("no code", self.ui.saveResult.toolTip)

    def test_what_cannot_be_exported_is_said(self):
        node = self.segmentation("Liver")
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetAndObserveTransformNodeID(transform.GetID())
        self.assertIn("under a transform", self.choose("scene", "nifti"))
        node.SetAndObserveTransformNodeID(None)
        self.ui.exportSegmentation.setCurrentNode(None)
        driver.process()
        self.assertIn("Choose a segmentation", self.ui.saveResult.toolTip)


class Checklist(ClinicScenario):
    """What the list says, and when it is made."""

    def test_a_case_from_files_has_no_source_series(self):
        self.new_study()
        self.add_phantoms(1)
        self.give_results("P01", np.ones(self.panel.session.study.grid("P01").shape))
        self.open_section()
        checks = self.choose("prediction", "seg")
        self.assertIn("not added from DICOM", checks)
        self.assertIn("NRRD", checks)
        self.assertFalse(self.ui.saveResult.enabled)
        self.assertNotIn("✗", self.choose("prediction", "nrrd"))
        self.assertTrue(self.ui.saveResult.enabled)

    def test_without_a_result_there_is_nothing_to_export(self):
        self.clinical_study()
        study = self.panel.session.study
        study.put_prediction(0, "P01", study.grid("P01"), [0.0] * 8)
        self.panel.session.refresh()
        self.assertIn("No segment has a voxel", self.choose("prediction", "nifti"))
        study.remove_labels("P01", [2, 3])
        self.panel.session.refresh()
        self.assertIn("Nothing is annotated", self.choose("annotation", "nifti"))

    def test_it_is_made_only_where_it_can_be_seen_and_when_something_changed(self):
        self.clinical_study()
        checklist = self.panel.export.checklist
        before = checklist.checks
        self.panel.session.refresh()
        driver.process(0.4)
        self.assertIs(checklist.checks, before, "Nothing has changed.")
        self.ui.exportSection.collapsed = True
        driver.choose(self.ui.exportWhat, "corrected")
        driver.process(0.4)
        self.assertIs(checklist.checks, before, "Nobody looks.")
        self.ui.exportSection.collapsed = False
        self.checked()
        self.assertIsNot(checklist.checks, before)

    def test_the_wheel_changes_nothing(self):
        self.clinical_study()
        for box in (self.ui.exportFormat, self.ui.caseSplit, self.ui.roundBudget):
            guard = self.panel._wheel
            self.assertIn(box.objectName, [widget.objectName for widget in guard._guarded])
        before = self.ui.exportFormat.currentIndex
        place, turn = qt.QPointF(5, 5), qt.QPoint(0, -120)
        event = qt.QWheelEvent(
            place, place, qt.QPoint(), turn, qt.Qt.NoButton, qt.Qt.NoModifier, qt.Qt.NoScrollPhase, False
        )
        slicer.app.sendEvent(self.ui.exportFormat, event)
        driver.process()
        self.assertEqual(self.ui.exportFormat.currentIndex, before)

    def test_missing_packages_grey_only_dicom(self):
        self.clinical_study()
        self.panel.session.missing_for_export = ["highdicom>=0.27"]
        self.panel.session.refresh()
        self.assertFalse(self.ui.exportSetupFrame.isHidden())
        self.choose("prediction", "nifti")
        self.assertTrue(self.ui.saveResult.enabled)
        self.choose("prediction", "seg")
        self.assertFalse(self.ui.saveResult.enabled)
        self.assertIn("highdicom", self.ui.saveResult.toolTip)
        self.assertFalse(self.ui.editServers.enabled)
        with mock.patch.object(slicer.util, "pip_install") as pip:
            driver.click(self.ui.installExport)
        pip.assert_not_called()  # it is installed after all
        self.assertTrue(self.ui.exportSetupFrame.isHidden())


class Database:
    """What the panel asks of the application's DICOM database, which this build lacks."""

    def __init__(self, paths):
        from pydicom import dcmread

        self.files = {str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): str(path) for path in paths}

    def fileForInstance(self, uid):
        return self.files.get(uid, "")


class FromDicomModule(ClinicScenario):
    """A volume that came from the application's DICOM database is remembered with its images."""

    def setUp(self):
        super().setUp()
        from dicom_series import phantom_series
        from VQBEGALPanel.geometry import LPS

        self.images = phantom_series(self.folder / "dicom", size=48, slices=8)
        self.database = Database(self.images.ct)
        patch = mock.patch.object(slicer, "dicomDatabase", self.database, create=True)
        patch.start()
        self.addCleanup(patch.stop)
        image = self.images.ct_image
        self.node = slicer.util.addVolumeFromArray(image.voxels, LPS @ image.affine, "CT")
        self.node.SetAttribute("DICOM.instanceUIDs", " ".join(self.database.files))
        self.new_study()

    def add(self):
        """Add the volume as a case, and return where it came from."""
        self.ui.ctVolume.setCurrentNode(self.node)
        self.ui.mrVolume.setCurrentNode(None)
        driver.click(self.ui.addCase)
        self.wait_for_job(60)
        self.assertEqual(self.told, [])
        return self.panel.session.study.subjects["P01"].primary.source or {}

    def test_its_images_are_found_at_the_export(self):
        import pydicom

        source = self.add()
        self.assertEqual(set(source["sop_instance_uids"]), set(self.database.files))
        self.assertIsNone(self.ui.ctVolume.currentNode(), "A second click would add the volume again.")
        self.give_results("P01", self.images.ct_labels.voxels)
        (self.folder / "settings" / "sources.json").unlink(missing_ok=True)  # on another computer
        self.open_section()
        self.assertNotIn("✗", self.choose("prediction", "seg"))
        found = pydicom.dcmread(self.save(self.folder / "seg.dcm"))
        self.assertEqual(self.told, [])
        self.assertEqual(found.StudyInstanceUID, self.images.study_uid)

    def test_a_transform_or_a_lost_image_is_said(self):
        from VQBEGALPanel import dicomsource

        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        self.node.SetAndObserveTransformNodeID(transform.GetID())
        self.assertNotIn("sop_instance_uids", self.add())
        self.assertIn("under a transform", self.ui.log.plainText)
        self.node.SetAndObserveTransformNodeID(None)
        self.database.files.popitem()
        self.assertEqual(dicomsource.of_node(self.node)[0], [])
        self.assertIn("no longer", dicomsource.of_node(self.node)[1])


def _frames(segmentation):
    return int(segmentation.NumberOfFrames)


def _settings():
    """Return all that the application's settings hold."""
    settings = slicer.app.userSettings()
    return " ".join(str(settings.value(key)) for key in settings.allKeys())

"""Volumes of every orientation: what is painted on a place of the patient is saved on that place."""

import driver
import numpy as np
import slicer
from support import PanelScenario

from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.volumes import Volume, write_volume

BRIGHT = 80
SHAPE = (10, 26, 24)


def body(shape, axis=0):
    """Return a bright, lopsided organ in noise, (K, J, I), that differs from slice to slice along an axis."""
    k, j, i = np.indices(shape)
    index = (k, j, i)[axis]
    others = [each for number, each in enumerate((k, j, i)) if number != axis]
    inside = (others[0] - 5 - index / 3) ** 2 + (others[1] - 8) ** 2 < (4 + index / 3) ** 2
    noise = np.random.default_rng(0).normal(0, 10, shape)
    return (np.where(inside, 150, 0) + noise).astype(np.int16)


def turned(degrees, spacing=(1.5, 2.0, 5.0)):
    """Return an oblique affine, voxel (i, j, k, 1) → LPS mm."""
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    move = np.eye(4)
    move[:3, 3] = (-31, 12, 77)
    return move @ turn @ np.diag([*spacing, 1.0])


class Geometry(PanelScenario):
    """Left-handed, oblique, sagittal and coronal volumes; the panel's array order is the study's in none of them."""

    def finish_a_slice(self, name, volume):
        """Add a volume from a folder, paint all that is bright, and return the study's labels of one slice."""
        folder = self.folder / "ct"
        folder.mkdir()
        write_volume(folder / name, volume)
        self.new_study()
        self.panel.session.configure({"seed_budget": 2})
        self.ui.primaryFolder.currentPath = str(folder)
        driver.click(self.ui.addFolders)
        self.wait_for_job(60)
        driver.click(self.ui.nextRound)
        self.wait_for_job(60)
        driver.select_row(self.ui.requestsTable, 0)
        self.assertEqual(self.told, [])
        request, scene = self.panel.slices.selected(), self.panel.session.scene
        node, image = scene.annotation(request.case), scene.volume(request.case, "primary")
        bright = (slicer.util.arrayFromVolume(image) > BRIGHT).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(bright, node, node.GetAttribute("VQBEGAL.Segment"), image)
        with self.answering(True):
            driver.click(self.ui.done)
        self.assertEqual(self.told, [])
        study = self.panel.session.study
        labels, grid = study.labels(request.case), study.volume(request.case)
        frame = SliceFrame.of(grid)
        wanted = frame.planes(grid.voxels)[request.slice] > BRIGHT
        self.assertTrue(wanted.any())
        self.assertTrue((frame.planes(labels.labelmap.voxels)[request.slice] == wanted).all())
        return request, grid

    def check_view(self, request, grid):
        """The view lies in the slice: every corner of it has the distance 0 from the view's plane."""
        driver.select_row(self.ui.requestsTable, 0)
        view = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceNode()
        pose = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        frame = SliceFrame.of(grid)
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
            place = np.zeros(3)
            place[frame.axis] = request.slice
            place[frame.axes[1]] = corner[0] * (grid.shape[frame.axes[1]] - 1)
            place[frame.axes[2]] = corner[1] * (grid.shape[frame.axes[2]] - 1)
            ras = (grid.affine @ [*place[::-1], 1])[:3] * (-1, -1, 1)
            self.assertAlmostEqual(float(np.dot(ras - pose[:3, 3], pose[:3, 2])), 0, places=2)
        self.assertLess(pose[0, 0], 0, "The patient's right is on the left.")

    def test_left_handed(self):
        affine = np.diag([1.5, 2.0, -5.0, 1.0])
        self.check_view(*self.finish_a_slice("P01.nii.gz", Volume(body(SHAPE), affine)))

    def test_oblique(self):
        self.check_view(*self.finish_a_slice("P01.nii.gz", Volume(body(SHAPE), turned(17))))

    def test_feet_first_oblique(self):
        affine = turned(-12) @ np.diag([-1, 1, -1, 1])
        self.check_view(*self.finish_a_slice("P01.nrrd", Volume(body(SHAPE), affine)))

    def test_sagittal(self):
        affine = np.array([[0, 0, 5.0, 0], [1.5, 0, 0, 0], [0, -2.0, 0, 40], [0, 0, 0, 1]])
        self.check_view(*self.finish_a_slice("P01.nii.gz", Volume(body(SHAPE, 1), affine)))

    def test_coronal_left_handed(self):
        affine = np.array([[1.5, 0, 0, 0], [0, 0, -5.0, 9], [0, -2.0, 0, 40], [0, 0, 0, 1]])
        self.check_view(*self.finish_a_slice("P01.nrrd", Volume(body(SHAPE, 1), affine)))

"""The one place where axes are turned: RAS of the application, LPS of the library, and the order of voxels."""

from __future__ import annotations

import itertools

import numpy as np
import slicer
import vtk

from VQBEGALLib.slices import SliceFrame
from VQBEGALLib.volumes import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS ↔ LPS, both ways."""

TOLERANCE = 0.01
"""Millimetres that voxel centres may be apart in the application and in the study."""

Order = tuple[slice, slice, slice]
"""Index of an array (K, J, I) that reverses some of its axes; applying it twice changes nothing."""


def affine(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Return a volume node's matrix (4, 4), voxel index (i, j, k, 1) → LPS mm."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return LPS @ slicer.util.arrayFromVTKMatrix(matrix)


def slice_to_ras(grid: Volume, index: int) -> np.ndarray:
    """Return the pose (4, 4) of a slice view that shows one slice of a grid along the grid's own plane, RAS mm.

    Columns: to the right of the view (the patient's left), upwards (anterior), along the view's normal, centre.
    """
    frame = SliceFrame.of(grid)
    ras = LPS @ grid.affine
    up, right = (ras[:3, 2 - axis] / np.linalg.norm(ras[:3, 2 - axis]) for axis in frame.axes[1:])
    right = -right if right[0] > 0 else right
    up = -up if up[1] < 0 else up
    normal = np.cross(up, right)  # to the head: the application's axial views are left-handed
    normal /= np.linalg.norm(normal)
    centre = np.array([(size - 1) / 2 for size in grid.shape])
    centre[frame.axis] = index
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(right, normal), normal
    pose[:3, 3] = (ras @ [*centre[::-1], 1])[:3]
    return pose


def voxel_order(node: slicer.vtkMRMLVolumeNode, grid: Volume) -> Order | None:
    """Return how the application's array of an image becomes the study's, and back: by reversing axes.

    The application reads files with left-handed axes slice by slice from the other end.

    Returns:
        None where the node is on another grid than the study's image.
    """
    if node.GetImageData() is None:
        return None
    shape, found = slicer.util.arrayFromVolume(node).shape, affine(node)
    for signs in itertools.product((1, -1), repeat=3):
        turned = found.copy()
        for axis, sign in enumerate(signs):
            if sign < 0:
                column = 2 - axis
                turned[:3, 3] += turned[:3, column] * (shape[axis] - 1)
                turned[:3, column] *= -1
        loaded = Volume(np.broadcast_to(np.uint8(0), shape), turned)
        if grid.same_grid(loaded, tolerance=TOLERANCE):
            return tuple(slice(None, None, sign) for sign in signs)
    return None

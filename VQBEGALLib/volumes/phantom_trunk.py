"""The phantom's trunk: skin, fat, muscles, skeleton, lungs and heart."""

from __future__ import annotations

import numpy as np

from VQBEGALLib.volumes.phantom_anatomy import Pose
from VQBEGALLib.volumes.phantom_shapes import Array, Canvas, ellipsoid, smooth_maximum


def paint_trunk(pose: Pose, canvas: Canvas) -> None:
    """Paint the trunk from the skin inwards; the cavity below the diaphragm is left as fat."""
    _wall(pose, canvas)
    _lungs_and_heart(pose, canvas)
    _spine(pose, canvas)
    _ribs(pose, canvas)


def _wall(pose: Pose, canvas: Canvas) -> None:
    """Skin, subcutaneous fat (thinner in front and over the spine), the muscles of the trunk, and fat inside."""
    x, y, z = pose.fixed
    side = np.abs(x) / (np.abs(x) + np.abs(y) + 20)
    skin = pose.muscle - pose.anatomy.fat * (0.55 + 0.45 * side)
    canvas.paint("skin", skin - 2)
    canvas.paint("fat", skin)
    canvas.paint("muscle", pose.muscle)
    # Fat planes between the layers of the wall, away from the ribs' level.
    layers = np.abs(pose.muscle + 6) - 0.7 + 0.05 * np.maximum(z + 90, 0)
    canvas.paint("fat", np.where(y < 40, layers, np.float32(9)))
    # The white line between the two straight muscles, in front and below the ribs.
    line = np.maximum(pose.muscle, np.abs(x + 0.3 * pose.bend) - 2.5)
    canvas.paint("fat", line + np.float32(20) * ((y > -20) | (z > -60)))
    canvas.paint("fat", pose.cavity)


def _lungs_and_heart(pose: Pose, canvas: Canvas) -> None:
    """Lungs above the diaphragm on both sides of the mediastinum, in which the heart lies on the left."""
    middle = 28 - np.abs(pose.fixed[0] - 4)
    lungs = np.maximum(np.maximum(pose.cavity + 3, 3 - pose.above), middle)
    canvas.paint("muscle", np.maximum(np.abs(pose.above) - 1.0, pose.cavity))
    canvas.paint("lung", lungs)
    # Vessels of the lungs: streaks where the texture is strongest.
    canvas.paint("lung_vessel", np.where(canvas.texture > 2.3, lungs + 4, np.float32(9)))
    shift = pose.anatomy.shifts["heart"]
    heart = ellipsoid(
        pose.organs, (22 + shift[0], -26 + shift[1], 34 + shift[2] / 2), (58, 44, 46), lean=(-0.15, 0.2, 0.15)
    )
    heart = np.maximum(smooth_maximum(heart, 2 - pose.above, 10), pose.cavity + 8)
    canvas.paint("fat", heart - 3)
    canvas.paint("heart", heart)
    for centre, axes in (((42, -32, 36), (26, 20, 24)), ((0, -30, 40), (22, 20, 28))):
        canvas.paint("blood", np.maximum(ellipsoid(pose.organs, centre, axes), heart + 7))


def _spine(pose: Pose, canvas: Canvas) -> None:
    """Paraspinal muscles, psoas, vertebrae with discs, canal and processes."""
    x, y, z = pose.fixed
    lower = np.clip((-z - 60) / 100, 0, 1)
    for side in (-1, 1):
        for centre_x, centre_y, wide, deep in ((33, 90, 25, 15), (24 + 14 * lower, 58, 2 + 15 * lower, 4 + 15 * lower)):
            muscle = _ellipse(x - side * centre_x, y - centre_y, wide, deep) + pose.bend
            canvas.paint("muscle", np.maximum(muscle, pose.muscle + 2))
    along = np.mod(z + pose.anatomy.ribs * 1.2, 33) - 16.5
    waist = 1 - 0.09 * np.cos(along * (np.pi / 16.5))
    body = _ellipse(x, y - 58, 22 * waist, 17 * waist)
    body = np.maximum(body, 5 - np.hypot(x, y - 80))
    disc = np.abs(np.abs(along) - 16.5) - 3.6
    canvas.paint("bone", body)
    canvas.paint("marrow", body + 3)
    canvas.paint("disc", np.maximum(body, disc))
    arch = np.abs(_ellipse(x, y - 81, 14, 12)) - 3
    spinous = np.maximum(np.abs(x) - 2.6, np.maximum(91 - y, y - 108)) + np.maximum(np.abs(along) - 9, 0)
    transverse = np.maximum(np.abs(y - 82) - 3, np.abs(x) - 30) + np.maximum(np.abs(along) - 4, 0)
    posterior = np.minimum(np.minimum(arch + np.maximum(np.abs(along) - 12, 0), spinous), transverse)
    canvas.paint("bone", posterior)
    canvas.paint("fluid", _ellipse(x, y - 81, 11, 9))
    canvas.paint("cord", _ellipse(x, y - 81, 5, 4.5))


def _ribs(pose: Pose, canvas: Canvas) -> None:
    """Oblique hoops in the wall, down to a costal margin that rises towards the front; the tip is cartilage."""
    x, y, z = pose.fixed
    front = np.arctan2(np.abs(x), y - 20)
    along = np.mod(z + 72 * front + pose.anatomy.ribs, 27) - 13.5
    middle = pose.muscle + 8
    rib = np.hypot(along * 0.8, middle) - 4.8
    margin = np.maximum(-128 + 34 * front - z, front - 2.6) * 6
    canvas.paint("bone", np.maximum(rib, margin))
    canvas.paint("marrow", np.maximum(rib + 2.4, margin))
    sternum = np.hypot(x / 17, (pose.muscle + 9) / 5.5) - 1
    sternum = np.maximum(sternum * 6 + np.float32(20) * (y > 0), -25 - z)
    canvas.paint("bone", sternum)
    canvas.paint("marrow", sternum + 2.5)
    canvas.paint("disc", np.maximum(rib, np.maximum(front - 2.75, 2.25 - front) * 40 + np.maximum(margin - 3, 0)))


def _ellipse(x: Array, y: Array, wide: Array | float, deep: Array | float) -> Array:
    """Return the distance to an elliptic cylinder along z."""
    relative = np.hypot(x / wide, y / deep)
    distance: Array = np.hypot(x, y) * (1 - 1 / np.maximum(relative, 1e-3))
    return distance

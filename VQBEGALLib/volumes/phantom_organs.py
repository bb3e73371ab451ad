"""The phantom's organs below the diaphragm; each function paints one, on the fat of the cavity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from VQBEGALLib.volumes.phantom_anatomy import Pose
from VQBEGALLib.volumes.phantom_shapes import Array, Canvas, Point, ellipsoid, smooth_maximum, tube

ORGANS = ("liver", "spleen", "pancreas", "right kidney", "left kidney", "stomach", "gallbladder")
"""Those that are painted as parts of an organ, so that a label of it can be made."""


def paint_organs(pose: Pose, canvas: Canvas) -> None:
    """Paint the organs of the abdomen, the deeper ones first."""
    _bowel(pose, canvas)
    _spleen(pose, canvas)
    _pancreas(pose, canvas)
    _kidneys(pose, canvas)
    _stomach(pose, canvas)
    _liver(pose, canvas)
    _gallbladder(pose, canvas)
    _vessels(pose, canvas)


def _bowel(pose: Pose, canvas: Canvas) -> None:
    """Loops of small bowel in mesenteric fat, and the colon as a frame around them."""
    loops = [(*loop, 2.0) for loop in pose.anatomy.bowel]
    colon: tuple[tuple[str, tuple[Point, ...], float], ...] = (
        ("stool", ((-98, 0, -215), (-100, -8, -170), (-94, -32, -140)), 19),
        ("stool", ((-94, -32, -140), (-50, -60, -148), (10, -66, -152), (60, -58, -132), (92, -8, -92)), 15),
        ("stool", ((92, -8, -92), (102, 22, -130), (104, 26, -215)), 13),
        ("gas", ((-30, -68, -146), (50, -66, -136)), 9),
    )
    loops += [(filling, points, radius, 2.5) for filling, points, radius in colon]
    for filling, points, radius, wall in loops:
        low, high = np.min(points, axis=0) - radius, np.max(points, axis=0) + radius
        box, position = pose.near(tuple(low), tuple(high))
        if 0 in canvas.image[box].shape:
            continue
        loop = tube(position, points, [radius] * len(points)) + 0.35 * pose.surface[box]
        loop = smooth_maximum(loop, pose.cavity[box] + 3, 6)
        canvas.paint("bowel", loop, box)
        canvas.paint(filling, loop + wall, box)


def _spleen(pose: Pose, canvas: Canvas) -> None:
    shift = pose.anatomy.shifts["spleen"]
    centre = (90 + shift[0], 34 + shift[1], -52 + shift[2])
    box, position = pose.near((centre[0] - 45, centre[1] - 55, centre[2] - 65), (140, centre[1] + 55, centre[2] + 65))
    spleen = ellipsoid(position, centre, (36, 46, 54), lean=(-0.1, 0.15, -0.3))
    hollow = ellipsoid(position, (centre[0] - 42, centre[1] - 24, centre[2] - 5), (40, 40, 60))
    spleen = smooth_maximum(smooth_maximum(spleen, 3 - hollow, 8), _under_diaphragm(pose, box), 8)
    canvas.paint("spleen", spleen + 0.6 * pose.surface[box], box, part_of="spleen")


def _pancreas(pose: Pose, canvas: Canvas) -> None:
    shift = pose.anatomy.shifts["pancreas"]
    points = [
        (x + shift[0], y + shift[1], z + shift[2])
        for x, y, z in ((-30, -12, -108), (-18, -16, -92), (10, -20, -82), (42, -4, -72), (70, 10, -62))
    ]
    box, position = pose.near((-50, -50, -135), (90, 30, -40))
    pancreas = tube(position, points, (15, 13, 10, 11, 8)) + 0.8 * pose.surface[box]
    canvas.paint("pancreas", pancreas + 1.2 * np.abs(canvas.texture[box]), box, part_of="pancreas")


def _kidneys(pose: Pose, canvas: Canvas) -> None:
    """Cortex, pyramids and the fat of the sinus, which opens towards the spine."""
    for side in (-1, 1):
        centre = _kidney_centre(pose, side)
        box, position = pose.near(
            (centre[0] - 32, centre[1] - 30, centre[2] - 58), (centre[0] + 32, centre[1] + 30, centre[2] + 58)
        )
        kidney = ellipsoid(position, centre, (27, 24, 52), lean=(side * -0.2, -0.12, side * -0.35))
        hilum = ellipsoid(position, (centre[0] - side * 20, centre[1] - 6, centre[2]), (17, 8, 22))
        organ = "left kidney" if side > 0 else "right kidney"
        canvas.paint("kidney_cortex", kidney, box, part_of=organ)
        angle = np.arctan2(position[1] - centre[1], position[0] - centre[0])
        pyramids = 2.5 * np.cos(6 * angle) * np.cos((position[2] - centre[2]) * 0.35)
        canvas.paint("kidney_medulla", kidney + 7 + pyramids, box, part_of=organ)
        canvas.paint("fat", hilum, box)
        canvas.paint("fluid", hilum + 5, box)


def _kidney_centre(pose: Pose, side: int) -> Point:
    """Return the centre of the right (-1) or left (1) kidney in the organs' frame."""
    shift = pose.anatomy.shifts["kidney_left" if side > 0 else "kidney_right"]
    return side * 60 + shift[0], 50 + shift[1], (-102 if side > 0 else -118) + shift[2]


def _stomach(pose: Pose, canvas: Canvas) -> None:
    """A bag from under the left dome to the right of the spine; air floats in front, food lies behind."""
    size = pose.anatomy.stomach
    shift = pose.anatomy.shifts["stomach"]
    box, position = pose.near((-45, -80, -150), (110, 60, 0))
    parts = (((52, 8, -36), 38.0), ((60, -18, -66), 34.0), ((42, -42, -96), 25.0), ((4, -44, -108), 17.0))
    points = [(x + shift[0], y + shift[1], z + shift[2]) for (x, y, z), _ in parts]
    stomach = tube(position, (*points, (-26, -30, -100)), [*(radius * size for _, radius in parts), 11])
    stomach = smooth_maximum(stomach + 0.5 * pose.surface[box], _under_diaphragm(pose, box), 10)
    canvas.paint("bowel", stomach, box, part_of="stomach")
    canvas.paint("stomach_food", stomach + 4, box, part_of="stomach")
    level = pose.fixed[1][0, box[1], 0][None, :, None] - pose.anatomy.air
    canvas.paint("gas", np.maximum(stomach + 4, level), box, part_of="stomach")


def _liver(pose: Pose, canvas: Canvas) -> None:
    """A wedge that fits the wall and the diaphragm: right lobe down to a tip at the flank, left lobe across the spine.

    Its inner surface is given by how far it reaches to the left, in front and at the back, at each depth.
    """
    anatomy = pose.anatomy
    length = anatomy.liver_length
    box, (x, y, z) = pose.near((-140, -100, -length - 10), (100, 90, 5))
    depth = -z * np.float32(140 / length)
    levels = (-20, 0, 25, 50, 75, 95, 115, 135, 150)
    front = _profile(depth, levels, (-20, 5, 62, 68, 38, -8, -48, -88, -135))
    front = front + (anatomy.left_lobe - 1) * np.maximum(front + 8, 0)
    back = _profile(depth, levels, (-12, -10, -8, -20, -46, -66, -82, -102, -135))
    behind = np.clip((y + 38) / 46, 0, 1)
    behind = behind * behind * (3 - 2 * behind)
    medial = (x - front - behind * (back - front)) * np.float32(0.75)
    lobe = y + 4 + 0.22 * (x + 25) - 2.2 * np.maximum(-14 - x, 0)
    anterior = (_profile(depth, levels, (-170, -170, -170, -170, -150, -96, -66, -42, -10)) - y) * np.float32(0.7)
    liver = smooth_maximum(medial, lobe * np.float32(0.6), 16)
    liver = smooth_maximum(liver, anterior - 0.25 * np.maximum(-x - 70, 0), 14)
    liver = smooth_maximum(liver + pose.surface[box], _under_diaphragm(pose, box), 4)
    kidney = ellipsoid((x, y, z), _kidney_centre(pose, -1), (32, 29, 57), lean=(0.2, -0.12, 0.35))
    liver = smooth_maximum(liver, -kidney, 6)
    canvas.paint("liver", liver, box, part_of="liver")
    shift = anatomy.shifts["fissure"]
    fissure = ellipsoid(
        (x, y, z), (-6 + shift[0] * 2, -62, -70 + shift[2]), (2.4, 20 + shift[1], 24), lean=(0.2, 0, 0.15)
    )
    fissure = fissure + 0.4 * pose.surface[box]
    canvas.paint("fat", fissure, box)
    for centre, radius, kind in anatomy.lesions:
        lesion = ellipsoid((x, y, z), centre, (radius, radius * 0.9, radius)) + 0.3 * pose.surface[box]
        canvas.paint(kind, np.maximum(lesion, liver + 3), box, part_of=None)
    for points, radii in _LIVER_VESSELS:
        vessel = tube((x, y, z), points, radii) + 0.12 * pose.surface[box]
        canvas.paint("portal", np.maximum(vessel, liver + 3), box, part_of=None)


def _gallbladder(pose: Pose, canvas: Canvas) -> None:
    shift = pose.anatomy.shifts["gallbladder"]
    centre = (-50 + shift[0], -42 + shift[1], -92 + shift[2] / 2)
    box, position = pose.near((centre[0] - 20, centre[1] - 25, centre[2] - 30), (centre[0] + 20, centre[1] + 25, -55))
    gallbladder = ellipsoid(position, centre, (13, 17, 27), lean=(0.2, 0.3, 0))
    canvas.paint("bowel", gallbladder, box, part_of="gallbladder")
    canvas.paint("bile", gallbladder + 1.5, box, part_of="gallbladder")


def _vessels(pose: Pose, canvas: Canvas) -> None:
    """Aorta and inferior vena cava along the spine, the portal trunk and the mesenteric and renal vessels."""
    shift = pose.anatomy.shifts["aorta"]
    aorta_x, aorta_y = 9 + shift[0], 30 + shift[1] * 0.6
    courses: tuple[tuple[str, tuple[Point, ...], tuple[float, ...]], ...] = (
        (
            "aorta",
            ((aorta_x + 5, aorta_y + 12, 90), (aorta_x, aorta_y, -40), (aorta_x - 4, aorta_y, -260)),
            (12, 11, 9),
        ),
        (
            "cava",
            ((-20, -6, 22), (-24, 14, -12), (-22, 26, -60), (-19, 29, -120), (-17, 30, -260)),
            (13, 13, 12, 12, 10),
        ),
        ("portal", ((-42, -8, -64), (-18, -2, -80), (2, -10, -96), (0, -18, -230)), (7.5, 7, 6.5, 5)),
        ("portal", ((2, -8, -92), (40, 8, -70), (78, 26, -56)), (5, 4.5, 4)),
        ("aorta", ((aorta_x, aorta_y, -84), (9, -2, -104), (9, -12, -230)), (4, 4, 3.5)),
        ("cava", ((-20, 27, -112), (-46, 40, -116)), (5, 4)),
        ("cava", ((-18, 20, -100), (16, 14, -100), (46, 38, -102)), (4, 4.5, 4)),
    )
    for tissue, points, radii in courses:
        box, position = pose.near(
            tuple(np.min(points, axis=0) - max(radii)), tuple(np.max(points, axis=0) + max(radii))
        )
        canvas.paint(tissue, tube(position, points, radii), box)


def _under_diaphragm(pose: Pose, box: tuple[slice, slice, slice]) -> Array:
    """Return the distance to the cavity under the diaphragm, less a layer of fat (shape of ``box``)."""
    return smooth_maximum(pose.cavity[box] + 3, pose.above[box] + 1.2, 5)


def _profile(depth: Array, levels: Sequence[float], values: Sequence[float]) -> Array:
    """Return ``values``, given at ``levels``, at every depth."""
    return np.interp(depth, levels, values).astype(np.float32)


_LIVER_VESSELS: tuple[tuple[tuple[Point, ...], tuple[float, ...]], ...] = (
    (((-42, -8, -64), (-60, 0, -60), (-82, 14, -58), (-104, 22, -62)), (7, 6, 4.5, 2.5)),
    (((-60, 0, -60), (-78, -24, -50), (-96, -40, -48)), (5, 4, 2.2)),
    (((-66, 2, -60), (-84, 6, -84), (-98, 8, -108)), (4.5, 3.8, 2)),
    (((-42, -8, -64), (-22, -24, -54), (-6, -44, -54), (18, -52, -48)), (6, 5, 4, 2)),
    (((-24, 14, -12), (-50, 16, -24), (-84, 18, -38), (-104, 16, -56)), (6.5, 5.5, 4, 2)),
    (((-24, 12, -12), (-44, -16, -26), (-60, -44, -44)), (6, 5, 2.2)),
    (((-22, 10, -12), (-4, -20, -24), (22, -42, -34)), (5.5, 4.5, 2)),
)
"""Course and radii (mm) of the portal branches, then of the three hepatic veins."""

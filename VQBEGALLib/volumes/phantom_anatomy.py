"""The phantom's body: where its organs lie, how they vary from person to person, and how breathing moves them.

The frame is the person's own: x towards the left, y towards the back, z towards the head (LPS, mm); z = 0 is the
top of the liver in the breathing state of the CT, x = 0 the spine. Lengths are typical of adults; no person's
image went into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from VQBEGALLib.volumes.phantom_shapes import Array, Box, Canvas, Point, SmoothField, smooth_maximum

LIVER_LENGTH = 126.0
"""Typical distance between the liver's top and its lowest tip, mm."""


@dataclass(frozen=True)
class Anatomy:
    """One person: sizes, places and deformations, drawn once and painted in any breathing state."""

    width: float
    """Scale of the skeleton and muscles, left to right."""
    depth: float
    """Scale of the skeleton and muscles, front to back."""
    fat: float
    """Subcutaneous fat at the flanks, mm."""
    liver_scale: float
    left_lobe: float
    """Reach of the left lobe; 1 is typical."""
    stomach: float
    """Filling of the stomach; 1 is typical."""
    air: float
    """y of the level between the air and the fluid in the stomach, mm."""
    ribs: float
    """Phase of the ribs along z, mm."""
    shifts: dict[str, Point]
    """How far each organ lies from its typical place, mm."""
    deformation: tuple[SmoothField, SmoothField, SmoothField]
    surface: SmoothField
    """Deformation of the liver's own surface, mm."""
    bowel: tuple[tuple[str, tuple[Point, ...], float], ...]
    """Loops: filling, course, radius."""
    lesions: tuple[tuple[Point, float, str], ...]
    """Candidates: centre, radius (mm), kind."""

    @property
    def half_width(self) -> float:
        """Half of the body's width with fat and skin, mm."""
        return 138 * self.width + self.fat + 2

    @property
    def liver_length(self) -> float:
        """Distance between the liver's top and its lowest tip, mm."""
        return LIVER_LENGTH * self.liver_scale


def draw_anatomy(generator: np.random.Generator) -> Anatomy:
    """Draw a person."""

    def uniform(low: float, high: float) -> float:
        return float(generator.uniform(low, high))

    organs = (
        "kidney_right",
        "kidney_left",
        "spleen",
        "stomach",
        "gallbladder",
        "aorta",
        "pancreas",
        "heart",
        "fissure",
    )
    return Anatomy(
        width=uniform(0.92, 1.1),
        depth=uniform(0.9, 1.12),
        fat=uniform(7, 34),
        liver_scale=uniform(0.9, 1.1),
        left_lobe=uniform(0.45, 1.15),
        stomach=uniform(0.6, 1.08),
        air=uniform(-75, -25),
        ribs=uniform(0, 27),
        shifts={organ: (uniform(-6, 6), uniform(-5, 5), uniform(-12, 12)) for organ in organs},
        deformation=(
            SmoothField(generator, 65, 4.5),
            SmoothField(generator, 65, 4.5),
            SmoothField(generator, 65, 5.0),
        ),
        surface=SmoothField(generator, 38, 3.5),
        bowel=tuple(_draw_loop(generator) for _ in range(60)),
        lesions=tuple(
            (
                (uniform(-110, -20), uniform(-60, 45), uniform(-95, -20)),
                uniform(4, 14),
                str(generator.choice(["cyst", "metastasis"])),
            )
            for _ in range(int(generator.integers(0, 5)))
        ),
    )


def _draw_loop(generator: np.random.Generator) -> tuple[str, tuple[Point, ...], float]:
    """Draw a loop of small bowel: a few bends around a random place in the lower abdomen."""
    fillings = ("bowel", "bowel", "bowel_fluid", "bowel_food", "bowel_food", "bowel_contrast", "gas")
    filling = fillings[int(generator.integers(len(fillings)))]
    centre = generator.uniform((-80, -76, -190), (100, 8, -84))
    steps = generator.uniform(-26, 26, size=(3, 3)) * (1, 0.7, 0.7)
    points = tuple((float(x), float(y), float(z)) for x, y, z in centre + np.cumsum(steps, axis=0))
    return filling, points, float(generator.uniform(8, 14))


class Pose:
    """Where the grid's voxels lie in a person's anatomy, in one breathing state.

    Args:
        anatomy: whom.
        canvas: the grid.
        breath: how far the diaphragm has moved towards the feet, mm.
        motion: a further small deformation of the organs in this breathing state, mm.
    """

    def __init__(self, anatomy: Anatomy, canvas: Canvas, breath: float, motion: SmoothField) -> None:
        self.anatomy = anatomy
        self._canvas = canvas
        self._breath = breath
        x, y, z = canvas.axes
        wide, deep = np.float32(anatomy.width), np.float32(anatomy.depth)
        moved = z + np.float32(breath)
        bend = [field.on(x, y, moved) for field in anatomy.deformation]
        drift = motion.on(x, y, z)
        # Organs far below the diaphragm move less than those that touch it.
        lag = np.float32(0.45 * breath) * np.clip((-moved - 40) / 160, 0, 1)[:, None, None]
        self.fixed: tuple[Array, Array, Array] = (x[None, None, :] / wide, y[None, :, None] / deep, z[:, None, None])
        """Coordinates x, y, z of the skeleton and the trunk's wall, which do not move: broadcastable to (K, J, I)."""
        self.organs: tuple[Array, Array, Array] = (
            self.fixed[0] + bend[0] + 0.5 * drift,
            self.fixed[1] + bend[1] + 0.5 * drift,
            moved[:, None, None] - lag + bend[2] + drift,
        )
        """Coordinates x, y, z in the undeformed organs, each (K, J, I)."""
        self.surface = anatomy.surface.on(x, y, moved)
        """Deformation of the liver's surface (K, J, I), mm."""
        self.bend = 0.6 * anatomy.deformation[0].on(x, y, z)
        """Deformation of the trunk's outline (K, J, I), mm; breathing does not change it."""
        self.muscle = self.outline(139, 86, 104)
        """Distance to the outer surface of the trunk's wall (K, J, I)."""
        self.cavity = self.outline(126, 77, 88)
        """Distance to the inner surface of the trunk's wall (K, J, I)."""
        self.above = self._above_diaphragm()
        """Height above the diaphragm (K, J, I), mm, measured about at right angles to it."""

    def near(self, low: Point, high: Point) -> tuple[Box, tuple[Array, Array, Array]]:
        """Return the part of the grid that can hold an organ between two corners, and the organs' coordinates there."""
        wide, deep, breath = self.anatomy.width, self.anatomy.depth, self._breath
        box = self._canvas.box(
            (low[0] * wide, low[1] * deep, low[2] - max(breath, 0)),
            (high[0] * wide, high[1] * deep, high[2] - min(breath, 0)),
        )
        x, y, z = self.organs
        return box, (x[box], y[box], z[box])

    def outline(self, half_width: float, front: float, back: float) -> Array:
        """Return the distance to an outline of the trunk with these half lengths, mm (K, J, I).

        The outline is flatter at the back, has a groove over the spine and narrows a little towards the waist and head.
        """
        x, y, z = self.fixed
        taper = 1 - np.float32(0.05) * np.square((z + 60) / 130)
        groove = 9 * np.exp(-np.square(x / 20)) * (y > 0)
        half_depth = np.where(y > 0, np.float32(back) - groove, np.float32(front))
        power = np.where(y > 0, np.float32(2.7), np.float32(2.15))
        relative = (np.abs(x / (half_width * taper)) ** power + np.abs(y / half_depth) ** power) ** (1 / power)
        radius = np.sqrt(x * x + y * y)
        distance: Array = radius * (1 - 1 / np.maximum(relative, 1e-3)) + self.bend
        return distance.astype(np.float32, copy=False)

    def _above_diaphragm(self) -> Array:
        """Two domes that fall off towards the wall, most of all at the back, and a flat middle under the heart."""
        x, y, z = self.organs
        back = np.clip((y + 20) / 100, 0, 1)
        domes = []
        for middle, top, width in ((-64, 0, 60), (66, -13, 56)):
            away = np.sqrt(np.square((x - middle) / width) + np.square((y + 2) / 84))
            domes.append(top - (40 + 42 * back) * np.minimum(away, 1.5) ** 2.6)
        middle_part = -16 - 60 * np.square(np.clip((y - 0) / 60, 0, 2)) - np.square(x / 14)
        height = smooth_maximum(smooth_maximum(domes[0], domes[1], 14), middle_part, 14)
        above: Array = (z - height) * np.float32(0.75)
        return above

"""Generated abdomens: CT and MR of the same made-up person in two breathing states, with labels.

The cohort that demos and tests run on; no patient's image went into it. Organs share the liver's intensity, so that
no window on the grey values finds it: position, shape and texture have to be learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.storage import storing, write_json
from VQBEGALLib.volumes import phantom_contrast as contrast
from VQBEGALLib.volumes.phantom_anatomy import Anatomy, Pose, draw_anatomy
from VQBEGALLib.volumes.phantom_organs import ORGANS, paint_organs
from VQBEGALLib.volumes.phantom_shapes import Array, Canvas, SmoothField
from VQBEGALLib.volumes.phantom_trunk import paint_trunk
from VQBEGALLib.volumes.reading import binary_labelmap, organ_labelmap
from VQBEGALLib.volumes.volume import Volume
from VQBEGALLib.volumes.writing import write_volume

CT_PARTS, MR_PARTS = 2, 3
"""How many thinner layers a slice is the mean of: partial volume along the body's axis."""


@dataclass(frozen=True, eq=False)
class PhantomSubject:
    """One person's images and labels, each labelmap on its image's grid."""

    ct: Volume
    """HU, int16."""
    mr: Volume
    """Arbitrary signal, int16; T2-weighted with fat suppression."""
    ct_labels: Volume
    """uint8, the organs asked for from 1 on: liver 1."""
    mr_labels: Volume
    """The same."""


def make_subject(
    seed: int | np.random.Generator,
    *,
    ct_size: int = 144,
    ct_slices: int = 38,
    mr_size: int = 128,
    mr_slices: int = 24,
    organs: Sequence[str] = ("liver",),
) -> PhantomSubject:
    """Make one person; the same seed gives the same voxels.

    Args:
        seed: a whole number, or the generator to draw from.
        ct_size: rows and columns of the CT; the field of view fits the person (2.4 to 3 mm a pixel by default).
        ct_slices: slices of the CT; the range covered is about 230 mm (6 mm a slice by default).
        mr_size: rows and columns of the MR, whose field of view is larger.
        mr_slices: slices of the MR, from about the same range (9 mm a slice by default).
        organs: what the labels show, each once; the first has the value 1. See :data:`ORGANS`.

    Raises:
        InputError: fewer than 16 pixels or 4 slices, or an organ that is not painted.
    """
    if (lost := [organ for organ in organs if organ not in ORGANS]) or len(set(organs)) < len(organs):
        what = f"has no {lost[0]}" if lost else "labels an organ once"
        raise InputError(f"The phantom {what}.", f"Name some of {', '.join(ORGANS)}, each once.")
    if min(ct_size, mr_size) < 16 or min(ct_slices, mr_slices) < 4:
        raise InputError("The phantom would be too small.", "Choose at least 16 pixels a side and 4 slices.")
    generator = np.random.default_rng(seed)
    streams = [np.random.default_rng(generator.integers(2**32, size=4)) for _ in range(3)]
    anatomy = draw_anatomy(streams[0])
    ct, ct_labels = _scan_ct(anatomy, streams[1], ct_size, ct_slices, organs)
    mr, mr_labels = _scan_mr(anatomy, streams[2], mr_size, mr_slices, organs)
    return PhantomSubject(ct=ct, mr=mr, ct_labels=ct_labels, mr_labels=mr_labels)


def _scan_ct(
    anatomy: Anatomy, generator: np.random.Generator, size: int, slices: int, organs: Sequence[str]
) -> tuple[Volume, Volume]:
    field_of_view = 2 * anatomy.half_width * float(generator.uniform(1.08, 1.18))
    grid = _Grid(generator, anatomy, field_of_view, size, slices, CT_PARTS, breath=0.0)
    values = contrast.ct_values(generator)
    image, shares = _render(anatomy, generator, grid, values, contrast.CT_TEXTURE, organs, breath=0.0)
    return grid.volumes(contrast.ct_image(generator, image), shares)


def _scan_mr(
    anatomy: Anatomy, generator: np.random.Generator, size: int, slices: int, organs: Sequence[str]
) -> tuple[Volume, Volume]:
    field_of_view = 2 * anatomy.half_width * float(generator.uniform(1.14, 1.3))
    breath = float(generator.uniform(5, 25)) * float(generator.choice([-1.0, 1.0], p=[0.7, 0.3]))
    grid = _Grid(generator, anatomy, field_of_view, size, slices, MR_PARTS, breath=breath)
    values = contrast.mr_values(generator)
    image, shares = _render(anatomy, generator, grid, values, contrast.MR_TEXTURE, organs, breath=breath)
    x, y, z = grid.axes
    middles = z.reshape(slices, MR_PARTS).mean(axis=1)
    return grid.volumes(contrast.mr_image(generator, image, (x, y, middles)), shares)


class _Grid:
    """The voxels of one scan in the person's frame, and the scanner's own origin, which is anywhere."""

    def __init__(
        self,
        generator: np.random.Generator,
        anatomy: Anatomy,
        field_of_view: float,
        size: int,
        slices: int,
        parts: int,
        *,
        breath: float,
    ) -> None:
        self.parts = parts
        self.pixel = field_of_view / size
        coverage = anatomy.liver_length / float(generator.uniform(0.52, 0.6))
        self.thickness = coverage / slices
        top = float(generator.uniform(0.3, 0.55)) * (coverage - anatomy.liver_length) - breath
        middle = generator.uniform((-8, 0), (8, 16))
        across = (np.arange(size) - (size - 1) / 2) * self.pixel
        along = top - coverage + (np.arange(slices * parts) + 0.5) * (self.thickness / parts)
        x, y, z = across + middle[0], across + middle[1], along
        self.axes: tuple[Array, Array, Array] = (
            x.astype(np.float32),
            y.astype(np.float32),
            z.astype(np.float32),
        )
        self.affine = np.diag([self.pixel, self.pixel, self.thickness, 1.0])
        first = np.array([x[0], y[0], z[: self.parts].mean()])
        self.affine[:3, 3] = first + generator.uniform((-20, -180, -900), (20, -120, 300))

    @property
    def layer_spacing(self) -> tuple[float, float, float]:
        """Spacing of the layers that are averaged to slices, along K, J, I, mm."""
        return self.thickness / self.parts, self.pixel, self.pixel

    def averaged(self, layers: Array) -> Array:
        """Return the slices (K, J, I) from layers (K * parts, J, I)."""
        layered = layers.reshape(-1, self.parts, *layers.shape[1:])
        slices: Array = layered.mean(axis=1, dtype=np.float32)
        return slices

    def volumes(self, image: Array, shares: Sequence[Array]) -> tuple[Volume, Volume]:
        """Return image and labels as volumes."""
        voxels = np.round(image).astype(np.int16)
        labels = np.zeros(voxels.shape, np.uint8)
        for value, share in enumerate(shares, start=1):
            labels[share > 0.5] = value
        return Volume(voxels, self.affine), Volume(labels, self.affine)


def _render(
    anatomy: Anatomy,
    generator: np.random.Generator,
    grid: _Grid,
    values: dict[str, float],
    textures: dict[str, float],
    organs: Sequence[str],
    *,
    breath: float,
) -> tuple[Array, list[Array]]:
    """Return the noiseless image and each organ's share of each voxel, all (K, J, I)."""
    x, y, z = grid.axes
    texture = contrast.tissue_texture(generator, (len(z), len(y), len(x)), grid.layer_spacing)
    canvas = Canvas(grid.axes, values, textures, texture, organs)
    motion = SmoothField(generator, 75, 2.5 if breath else 0.0)
    pose = Pose(anatomy, canvas, breath, motion)
    paint_trunk(pose, canvas)
    paint_organs(pose, canvas)
    return grid.averaged(canvas.image), [grid.averaged(share) for share in canvas.shares.values()]


def split_subjects(names: list[str]) -> dict[str, list[str]]:
    """Divide subjects, in order, into train, validation and test: an eighth and a quarter, at least one each.

    With fewer than three subjects there is not one for each, and training comes first.
    """
    count = len(names)
    validation = max(count // 8, int(count >= 3))
    test = max(count // 4, int(count >= 2))
    train = count - validation - test
    return {
        "train": names[:train],
        "validation": names[train : train + validation],
        "test": names[train + validation :],
    }


def write_cohort(folder: Path, *, subjects: int, seed: int, reporter: Reporter, organs: Sequence[str] = ()) -> None:
    """Write subjects as ``ct/phantom_NN.nii.gz``, ``mr/…``, ``ct_liver/…``, ``mr_liver/…``, and ``split.json``.

    A subject depends on the seed and its number only: a larger cohort begins with the smaller one. With ``organs``
    there are ``ct_organs/…`` and ``mr_organs/…`` too, where these have the values 1, 2, … in their order.

    Raises:
        InputError: no subject is asked for, or an organ that is not painted.
        StorageError: the folder cannot be written.
        CancelledError: a person asked to stop; finished subjects stay.
    """
    if subjects < 1:
        raise InputError(f"A cohort of {subjects} subjects is empty.", "Ask for at least one subject.")
    names = [f"phantom_{number:02d}" for number in range(subjects)]
    with reporter.stage("phantom", subjects, unit="subject") as stage:
        for number, name in enumerate(names):
            asked = tuple(organs) if "liver" in organs else (*organs, "liver")
            subject = make_subject(np.random.default_rng([seed, number]), organs=asked)
            parts = {"ct": subject.ct, "mr": subject.mr}
            for which, labels in (("ct", subject.ct_labels), ("mr", subject.mr_labels)):
                parts[f"{which}_liver"] = binary_labelmap(labels, value=asked.index("liver") + 1)
                if organs:
                    values = range(1, len(organs) + 1)
                    parts[f"{which}_organs"] = organ_labelmap(labels, len(organs), values=values)
            for part, volume in parts.items():
                with storing(folder / part):
                    (folder / part).mkdir(parents=True, exist_ok=True)
                write_volume(folder / part / f"{name}.nii.gz", volume)
            stage.advance()
    write_json(folder / "split.json", split_subjects(names))

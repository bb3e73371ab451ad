"""What CT and MR make of the phantom's tissues: values per person, texture, noise, shading."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from VQBEGALLib.volumes.phantom_shapes import Array, SmoothField

CT_TEXTURE = {"muscle": 14.0, "stool": 90.0, "stomach_food": 22.0, "bowel_food": 25.0, "marrow": 35.0, "pancreas": 18.0}
CT_TEXTURE |= {"fat": 6.0, "lung": 25.0, "bowel": 12.0, "liver": 3.5, "spleen": 4.0, "heart": 8.0, "metastasis": 6.0}
"""HU, standard deviation of each tissue's structure, in addition to the noise."""

MR_TEXTURE = {"muscle": 12.0, "stool": 45.0, "stomach_food": 60.0, "bowel_food": 60.0, "marrow": 14.0, "pancreas": 30.0}
MR_TEXTURE |= {
    "fat": 8.0,
    "lung": 6.0,
    "bowel": 25.0,
    "liver": 7.0,
    "spleen": 10.0,
    "heart": 30.0,
    "kidney_cortex": 15.0,
}
"""Signal, standard deviation of each tissue's structure."""


def ct_values(generator: np.random.Generator) -> dict[str, float]:
    """Draw each tissue's HU for one person: unenhanced, arterial or portal-venous, with or without a fatty liver.

    Spleen, muscle, bowel, food and pancreas lie within the liver's range in every phase.
    """

    def around(middle: float, spread: float) -> float:
        return float(generator.normal(middle, spread))

    phase = float(generator.choice([0.0, 0.5, 0.8, 1.0], p=[0.2, 0.2, 0.3, 0.3]))
    fatty = generator.random() < 0.2
    liver = around(58, 4) + phase * around(46, 5) - (around(28, 4) if fatty else 0)
    blood = 42 + phase * around(105, 12)
    return {
        "air": -1000.0,
        "skin": around(25, 8),
        "fat": around(-102, 4),
        "muscle": around(56, 3) + 12 * phase,
        "lung": around(-850, 20),
        "lung_vessel": -250.0,
        "heart": 48 + phase * around(55, 8),
        "blood": blood,
        "aorta": blood + (80 if phase == 0.5 else 5),
        "cava": blood - (25 if phase == 0.5 else 5),
        "portal": blood - (30 if phase == 0.5 else 0),
        "bone": around(480, 50),
        "marrow": around(200, 30),
        "disc": around(90, 8),
        "fluid": around(14, 5),
        "cord": around(40, 3),
        "spleen": around(52, 3) + phase * around(58, 8),
        "pancreas": around(42, 4) + phase * around(48, 7),
        "kidney_cortex": around(34, 3) + phase * around(150, 15),
        "kidney_medulla": around(32, 3) + phase * around(100, 25),
        "bowel": 40 + phase * around(40, 8),
        "bowel_fluid": around(18, 8),
        "bowel_food": around(75, 15),
        "bowel_contrast": around(210, 40),
        "stomach_food": around(70, 22),
        "stool": around(30, 20),
        "gas": -950.0,
        "bile": around(8, 5),
        "liver": liver,
        "cyst": around(8, 4),
        "metastasis": liver - around(32, 6),
    }


def mr_values(generator: np.random.Generator) -> dict[str, float]:
    """Draw each tissue's signal for one person, T2-weighted with fat suppression: fluid bright, fat and bone dark."""

    def around(middle: float, spread: float) -> float:
        return float(max(generator.normal(middle, spread), 2))

    liver = around(152, 22)
    return {
        "air": 0.0,
        "skin": around(110, 10),
        "fat": around(55, 10),
        "muscle": around(122, 12),
        "lung": around(18, 3),
        "lung_vessel": 60.0,
        "heart": around(150, 25),
        "blood": around(90, 35),
        "aorta": around(45, 15),
        "cava": around(95, 45),
        "portal": around(225, 40),
        "bone": around(22, 4),
        "marrow": around(95, 18),
        "disc": around(130, 35),
        "fluid": around(560, 50),
        "cord": around(200, 20),
        "spleen": around(330, 50),
        "pancreas": around(185, 22),
        "kidney_cortex": around(310, 30),
        "kidney_medulla": around(400, 40),
        "bowel": around(170, 25),
        "bowel_fluid": around(480, 70),
        "bowel_food": around(190, 50),
        "bowel_contrast": around(330, 60),
        "stomach_food": around(190, 70),
        "stool": around(120, 40),
        "gas": 8.0,
        "bile": around(540, 60),
        "liver": liver,
        "cyst": around(540, 40),
        "metastasis": liver + around(90, 20),
    }


def tissue_texture(
    generator: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> Array:
    """Return noise of unit variance (K, J, I) whose structures measure some 4 mm; ``spacing`` along K, J, I in mm."""
    noise = generator.standard_normal(shape, dtype=np.float32)
    return _standardised(ndimage.gaussian_filter(noise, [2.2 / step for step in spacing]))


def ct_image(generator: np.random.Generator, image: Array) -> Array:
    """Add what a scanner adds, HU in and out, (K, J, I): blur, correlated noise, slight cupping and drift.

    Noise of a CT is coloured by the reconstruction filter: high-passed, then smoothed over about a voxel.
    """
    _, rows, columns = image.shape
    image = ndimage.gaussian_filter(image, (0, 0.45, 0.45))
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, (0.35, 0.65, 0.65))
    noise = _standardised(fine - 0.6 * ndimage.gaussian_filter(noise, (0.35, 2.2, 2.2)))
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    centre = np.exp(-2.2 * (x * x + 1.5 * y * y))
    level = float(generator.uniform(11, 20))
    slope = generator.uniform(-5, 5, size=2)
    inside = image > -950
    image = image + level * (0.6 + 0.55 * centre) * noise
    image = image + inside * (slope[0] * x + slope[1] * y - 5 * centre)
    return np.clip(image, -1024, 3071).astype(np.float32)


def mr_image(generator: np.random.Generator, image: Array, axes: tuple[Array, Array, Array]) -> Array:
    """Add what a scanner adds, signal in and out, (K, J, I): blur, coil shading, Rician noise, arbitrary scale."""
    x, y, z = axes
    image = ndimage.gaussian_filter(image, (0, 0.5, 0.5))
    coil = SmoothField(generator, 110, 0.3).on(x, y, z)
    surface = 0.0016 * (y - y.mean())[None, :, None] * float(generator.uniform(-1, 1.4))
    ends = -0.35 * np.square((z - z.mean()) / (np.ptp(z) / 2))[:, None, None]
    image = image * np.exp(coil + surface + ends)
    level = float(generator.uniform(7, 12))
    real, imaginary = generator.standard_normal((2, *image.shape), dtype=np.float32) * level
    image = np.hypot(image + real, imaginary) * float(generator.uniform(0.8, 2.2))
    return image.astype(np.float32)


def _standardised(noise: Array) -> Array:
    result: Array = (noise / max(float(noise.std()), 1e-6)).astype(np.float32)
    return result

"""Synthetic slices and strong views: image and mask move together, what is pasted is the source's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from VQBEGALLib.related.cmems.perturbation import REACH, blurred, boxes, strong_view
from VQBEGALLib.related.cmems.synthetic import BLEND, deform, fading, paste

SIZE = 48


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=source(seed))


def discs(*places: tuple[int, int, int]) -> torch.Tensor:
    """Return discs of row, column and radius, (n, 1, H, W)."""
    y, x = np.indices((SIZE, SIZE))
    return torch.stack([torch.from_numpy(np.hypot(y - r, x - c) <= radius)[None].float() for r, c, radius in places])


def test_deformed_slice_and_mask_stay_one_on_the_other() -> None:
    masks = discs((24, 24, 10), (20, 28, 8), (30, 20, 12))
    images, moved = deform(masks.clone(), masks, 0.08, source())
    assert torch.equal((images >= 0.5).float(), moved), "an image that shows the mask goes where the mask goes"
    assert all(not torch.equal(one, other) for one, other in zip(moved, masks, strict=True))
    for one, other in zip(moved, masks, strict=True):
        assert 0.5 < float(one.sum() / other.sum()) < 2
        assert ndimage.label(one[0].numpy())[1] == 1, "the field is smooth: a disc stays in one piece"
    assert not torch.equal(moved[0] - masks[0], moved[1] - masks[1])


def test_no_deformation_moves_nothing_and_several_organs_move_alike() -> None:
    masks = torch.cat([discs((24, 24, 10)), discs((24, 24, 10))], dim=1)
    images = noise(1)
    same = deform(images, masks, 0.0, source())
    assert torch.equal(same[0], images) and torch.equal(same[1], masks)
    moved = deform(images, masks, 0.1, source())[1]
    assert torch.equal(moved[:, 0], moved[:, 1])


def test_displacements_keep_to_their_limit() -> None:
    columns = torch.arange(SIZE).float().expand(64, 1, SIZE, SIZE)
    moved, _ = deform(columns, torch.zeros_like(columns), 0.1, source())
    inner = (moved - columns)[..., 12:-12, 12:-12].abs()
    assert 0.05 * SIZE < float(inner.max()) < 0.1 * SIZE * 1.3, "bicubic waves go a little beyond the control points"


def test_pasted_pixels_are_the_source_s_inside_and_the_other_s_far_outside() -> None:
    images, onto = noise(3), noise(4, seed=2)
    masks = torch.cat([discs((24, 24, 8)), torch.zeros(1, 1, SIZE, SIZE), discs((10, 30, 6))])
    found = paste(images, masks, onto, source())
    assert found.masks.flatten(1).any(dim=1).all(), "slices without organ give nothing"
    for image, mask, known, other in zip(found.images, found.masks, found.known, onto, strict=True):
        origin = next(place for place in (0, 2) if torch.equal(mask, masks[place]))
        inside = mask.bool()
        assert torch.equal(image[inside], images[origin][inside])
        # square distance, as the fading has it: brute force
        near = ndimage.distance_transform_cdt(~inside[0].numpy(), metric="chessboard")
        far = torch.from_numpy(near > BLEND)[None]
        assert torch.equal(image[far], other[far])
        rim = torch.from_numpy((near > 0) & (near <= BLEND))[None]
        low, high = torch.minimum(images[origin], other), torch.maximum(images[origin], other)
        assert ((image >= low - 1e-6) & (image <= high + 1e-6))[rim].all(), "a blend of both"
        assert (known[inside]).all() and not known[far].any()
    assert {float(mask.sum()) for mask in found.masks} == {float(masks[0].sum()), float(masks[2].sum())}


def test_where_no_slice_shows_an_organ_nothing_is_pasted() -> None:
    onto = noise(2)
    found = paste(noise(3), torch.zeros(3, 2, SIZE, SIZE), onto, source())
    assert torch.equal(found.images, onto)
    assert not found.known.any() and found.masks.shape == (2, 2, SIZE, SIZE) and not found.masks.any()
    nothing = paste(noise(1), discs((20, 20, 5)), onto[:0], source())
    assert len(nothing.images) == len(nothing.masks) == len(nothing.known) == 0


def test_all_organs_of_a_slice_come_along() -> None:
    masks = torch.cat([discs((15, 15, 5)), discs((33, 33, 6))], dim=1)
    images, onto = noise(1), noise(1, seed=2)
    found = paste(images, masks, onto, source())
    assert torch.equal(found.masks, masks)
    both = masks.amax(dim=1, keepdim=True).bool()
    assert torch.equal(found.images[both], images[both])


def test_fading_falls_by_equal_steps() -> None:
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., 4, 4] = 1
    row = fading(mask)[0, 0, 4]
    assert row.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0])


def test_a_strong_view_changes_intensities_and_moves_nothing() -> None:
    images = discs(*[(24, 24, 10)] * 16) * 0.6 + 0.2
    found = strong_view(images, 1.0, source())
    assert found.shape == images.shape and found.isfinite().all()
    assert not any(torch.equal(one, other) for one, other in zip(found, images, strict=True))
    disc = images[0] > 0.5
    brighter = [float(view[disc].mean() - view[~disc].mean()) for view in found]
    assert min(brighter) > 0.2, "the disc stays where it is, and brighter than the rest"
    assert np.std(brighter) > 0.01


def test_no_strength_and_no_slice_change_nothing() -> None:
    images = noise(2)
    assert torch.equal(strong_view(images, 0.0, source()), images)
    assert len(strong_view(images[:0], 1.0, source())) == 0


def test_views_repeat_with_their_generator() -> None:
    images = noise(3)
    assert torch.equal(strong_view(images, 1.0, source(4)), strong_view(images, 1.0, source(4)))
    assert not torch.equal(strong_view(images, 1.0, source(4)), strong_view(images, 1.0, source(5)))


def test_blur_is_a_gaussian_of_each_slice_s_width() -> None:
    images, widths = noise(3), torch.tensor([0.0, 0.7, 1.5])
    found = blurred(images, widths)
    assert torch.allclose(found[0], images[0], atol=1e-6)
    for place in (1, 2):
        expected = ndimage.gaussian_filter(images[place, 0].numpy(), float(widths[place]), mode="nearest", radius=REACH)
        assert np.allclose(found[place, 0].numpy(), expected, atol=1e-5)


def test_hidden_boxes_lie_inside_and_have_their_sizes() -> None:
    hidden = boxes(400, torch.Size((SIZE, SIZE)), 0.5, source())
    shares = hidden.float().mean(dim=(1, 2, 3))
    assert 0 < float((shares == 0).float().mean()) < 0.25, "an eighth of the slices have none of three boxes"
    assert float(shares.max()) < 3 * 0.32**2
    single = [mask for mask in hidden[:, 0].numpy() if ndimage.label(mask)[1] == 1]
    solid = [mask for mask in single if mask[ndimage.find_objects(mask.astype(int))[0]].all()]
    sides = [side for mask in solid for side in mask[ndimage.find_objects(mask.astype(int))[0]].shape]
    assert min(sides) >= 0.1 * SIZE - 1
    assert max(sides) <= 0.3 * SIZE + 1
    assert not boxes(5, torch.Size((SIZE, SIZE)), 0.0, source()).any()

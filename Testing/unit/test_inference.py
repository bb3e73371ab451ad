"""A volume in, a labelmap on the volume's own grid out: in every orientation, with and without an auxiliary."""

from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from VQBEGALLib.config import Config, preset
from VQBEGALLib.errors import CancelledError, OutOfMemoryError
from VQBEGALLib.events import Reporter
from VQBEGALLib.inference import BATCH, largest_component, predict, segment_slices, to_labelmap, uncertainty
from VQBEGALLib.slices import PlaneGrid, SliceFrame, SlicePair
from VQBEGALLib.slices.reader import PairImages
from VQBEGALLib.volumes import Volume

CPU = torch.device("cpu")
CENTRE = np.array([10.0, -40.0, 200.0])
"""Middle of the block, LPS mm."""
HALF = np.array([24.0, 16.0, 30.0])
"""Half its width, depth and height, mm: each axis its own, so that a turned labelmap does not fit."""
FIELD = 120.0


class Threshold(nn.Module):
    """Segments what is bright, and notes what it was shown."""

    needs_registered = False

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.partners: list[bool] = []

    def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
        self.batches.append(len(x))
        self.partners.append(partner is not None)
        if partner is not None:
            assert partner.shape == x.shape
        return 20 * (x - 0.5)


def settings(**changes: object) -> Config:
    return preset("small", {"size": 128, "ct_window": "0,100", **changes})


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Turn about x, then y, then z."""
    turned = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        turn[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        turned = turn @ turned
    return turned


def acquisition(
    order: tuple[int, int, int] = (0, 1, 2),
    flips: tuple[int, int, int] = (1, 1, 1),
    degrees: tuple[float, float, float] = (0, 0, 0),
    step: tuple[float, float, float] = (1.5, 1.5, 4.0),
) -> tuple[Volume, np.ndarray]:
    """A bright block seen by a scanner whose i, j, k axes run along body axes ``order``; and where the block is."""
    directions = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(zip(order, flips, strict=True)):
        directions[axis, column] = sign
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ directions @ np.diag(step)
    counts = [round(FIELD / length) for length in step]  # I, J, K
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(counts) - 1) / 2)
    k, j, i = np.indices(counts[::-1])
    points = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ affine.T
    block = (np.abs(points[..., :3] - CENTRE) <= HALF).all(axis=-1)
    return Volume((100 * block).astype(np.int16), affine), block


def dice(labelmap: Volume, block: np.ndarray) -> float:
    found = labelmap.voxels > 0
    return float(2 * (found & block).sum() / (found.sum() + block.sum()))


def run(volume: Volume, auxiliary: Volume | None = None, config: Config | None = None, model: nn.Module | None = None):
    return predict(model or Threshold(), config or settings(), volume, auxiliary, device=CPU, reporter=Reporter())


ORDERS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0), "transposed": (1, 0, 2)}


@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_the_block_comes_back_where_it_was(order, flips):
    volume, block = acquisition(order, flips)
    labelmap = run(volume)
    assert labelmap.same_grid(volume) and labelmap.voxels.dtype == np.uint8
    assert set(np.unique(labelmap.voxels)) == {0, 1}
    assert dice(labelmap, block) > 0.95


@pytest.mark.parametrize("degrees", [(20, 0, 0), (0, -25, 10), (15, 15, 15), (0, 0, 40)])
@pytest.mark.parametrize("order", [ORDERS["axial"], ORDERS["coronal"]], ids=["axial", "coronal"])
def test_an_oblique_acquisition_comes_back_where_it_was(order, degrees):
    volume, block = acquisition(order, (1, -1, 1), degrees)
    labelmap = run(volume)
    assert labelmap.same_grid(volume) and dice(labelmap, block) > 0.95


@pytest.mark.parametrize("spacing", ["0", "1", "2.5"])
def test_a_fixed_pixel_size_brings_it_back_too(spacing):
    volume, block = acquisition(step=(1.0, 1.4, 5.0))
    assert dice(run(volume, config=settings(pixel_spacing=spacing)), block) > 0.95


def test_a_field_of_view_beyond_the_slice_is_background():
    volume, block = acquisition(step=(1.0, 1.0, 5.0))
    labelmap = run(volume, config=settings(size=32, pixel_spacing="1"))
    assert labelmap.same_grid(volume)
    assert 0 < (labelmap.voxels > 0).sum() < block.sum()
    assert not (labelmap.voxels[~block] > 0).any()


def test_one_slice_is_enough():
    volume, block = acquisition()
    middle = volume.shape[0] // 2
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * middle
    labelmap = run(Volume(volume.voxels[middle : middle + 1], affine))
    assert labelmap.shape == (1, *volume.shape[1:]) and dice(labelmap, block[middle : middle + 1]) > 0.95


def test_a_single_auxiliary_slice_partners_all():
    volume, block = acquisition()
    other = Volume(np.arange(900, dtype=np.float32).reshape(1, 30, 30), np.diag((4.0, 4.0, 8.0, 1.0)))
    model = Threshold()
    assert dice(run(volume, other, model=model), block) > 0.95
    assert all(model.partners)


def test_without_an_auxiliary_the_network_gets_no_partner():
    model = Threshold()
    run(acquisition()[0], model=model)
    assert not any(model.partners) and sum(model.batches) == 30 and max(model.batches) == BATCH


def test_a_network_of_the_primary_alone_gets_no_partner_and_says_so():
    volume, _ = acquisition()
    auxiliary = volume.with_voxels(np.zeros(volume.shape, np.float32))
    events, model = [], Threshold()
    found = predict(model, settings(pairing="none"), volume, auxiliary, device=CPU, reporter=Reporter(events.append))
    assert not any(model.partners)
    assert ["without MR" in event["text"] for event in events if event["event"] == "warning"] == [True]
    assert np.array_equal(found.voxels, run(volume).voxels)


def test_partners_lie_at_the_same_relative_height():
    volume, _ = acquisition()
    rise = np.linspace(0, 100, 12, dtype=np.float32)[::-1, None, None] * np.ones((12, 20, 20), np.float32)
    upside_down = np.diag((5.0, 5.0, -10.0, 1.0))  # the first slice, of the largest value, is the highest

    class Heights(Threshold):
        seen: list[float] = []  # noqa: RUF012 (of this test only)

        def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
            assert partner is not None
            self.seen.extend(partner.mean(dim=(1, 2, 3)).tolist())
            return super().segment(x, partner)

    model = Heights()
    run(volume, Volume(rise, upside_down), model=model)
    assert np.all(np.diff(model.seen) >= 0) and model.seen[0] < 0.1 and model.seen[-1] > 0.9


def test_nothing_found_is_an_empty_labelmap():
    class Blind(Threshold):
        def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
            return torch.full_like(x, -9)

    volume, _ = acquisition()
    labelmap = run(volume, model=Blind())
    assert labelmap.same_grid(volume) and not labelmap.voxels.any()


def test_the_threshold_is_the_setting():
    volume, _ = acquisition()
    soft = volume.with_voxels((volume.voxels * 0.6).astype(np.int16))  # probability 0.88 inside, 0 outside
    soft.voxels[0, 0, 0] = 100  # so that the slice is not constant
    low, high = (run(soft, config=settings(threshold=value)).voxels.sum() for value in ("0.5", "0.95"))
    assert low > 1000 and high < 10


def test_only_the_largest_component_stays_unless_told_otherwise():
    volume, block = acquisition()
    voxels = volume.voxels.copy()
    voxels[1:3, 2:8, 2:8] = 100
    spotted = volume.with_voxels(voxels)
    assert dice(run(spotted), block) > 0.95
    assert run(spotted).voxels[1:3, 2:8, 2:8].sum() == 0
    assert run(spotted, config=settings(largest_component="false")).voxels[1:3, 3:7, 3:7].all()


def test_largest_component_by_hand():
    mask = np.zeros((2, 3, 5), np.uint8)
    mask[0, 0, 0] = mask[0, 1, 1] = 1  # touch at an edge only: two components
    mask[1, 2, 2:5] = 1
    kept = largest_component(mask)
    assert kept.sum() == 3 and kept[1, 2, 2:5].all() and kept.dtype == np.uint8
    assert not largest_component(np.zeros((2, 2, 2), np.uint8)).any()
    assert largest_component(np.ones((2, 2, 2), np.uint8)).all()


def test_too_little_memory_on_a_gpu_is_told():
    class Greedy(Threshold):
        def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(OutOfMemoryError, match="128 × 128"):
        run(acquisition()[0], model=Greedy())


def test_a_request_to_cancel_is_followed_between_batches(tmp_path):
    stop, model = tmp_path / "stop", Threshold()
    images = np.zeros((BATCH, 16, 16), np.float32)

    def read(batch: list[SlicePair]) -> PairImages:
        stop.touch()
        return PairImages(images[: len(batch)], images[: len(batch)], np.zeros(len(batch), np.bool_))

    pairs = [SlicePair("", index) for index in range(3 * BATCH)]
    with pytest.raises(CancelledError):
        list(segment_slices(model, pairs, read, device=CPU, reporter=Reporter(cancel_file=stop)))
    assert len(model.batches) == 1


def test_a_slice_is_segmented_with_its_partner_where_it_has_one():
    class Both(Threshold):
        def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
            super().segment(x, partner)
            return x if partner is None else x + partner

    def read(batch: list[SlicePair]) -> PairImages:
        present = np.array([pair.partner is not None for pair in batch])
        value = np.array([pair.slice / 10 for pair in batch], np.float32)
        images = np.broadcast_to(value[:, None, None], (len(batch), 2, 2)).copy()
        return PairImages(images, np.full_like(images, -3), present)

    model = Both()
    pairs = [SlicePair("", index, "m", 0) if index % 3 else SlicePair("", index) for index in range(BATCH + 3)]
    found = np.stack(list(segment_slices(model, pairs, read, device=CPU, reporter=Reporter())))
    logits = torch.tensor([index / 10 - (3 if index % 3 else 0) for index in range(BATCH + 3)])
    assert found.shape == (BATCH + 3, 1, 2, 2)
    assert np.allclose(found, logits.sigmoid()[:, None, None, None])
    assert model.batches == [10, 6, 2, 1]


def test_one_batch_of_probabilities_is_in_memory_at_a_time() -> None:
    class Wide(Threshold):
        def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
            super().segment(x, partner)
            return x.expand(-1, 4, -1, -1)

    def read(batch: list[SlicePair]) -> PairImages:
        images = np.zeros((len(batch), 64, 64), np.float32)
        return PairImages(images, images, np.zeros(len(batch), np.bool_))

    model, count = Wide(), 8 * BATCH
    slices = segment_slices(model, [SlicePair("", i) for i in range(count)], read, device=CPU, reporter=Reporter())
    volume = Volume(np.zeros((count, 64, 64), np.uint8), np.eye(4))
    assert model.batches == []
    tracemalloc.start()
    to_labelmap(slices, volume, settings(size=64, organ="a, b, c, d"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.batches == [BATCH] * 8
    assert peak < count * 4 * 64 * 64 * 4 / 2  # half of all probabilities


def test_the_same_volume_gives_the_same_labelmap():
    volume, _ = acquisition(degrees=(5, 5, 5))
    config = replace(settings(), seed=3)
    assert np.array_equal(run(volume, config=config).voxels, run(volume, config=config).voxels)


def test_uncertainty_is_the_mean_entropy_of_a_slices_pixels_in_bits():
    sure, torn = np.zeros((4, 4), np.float32), np.full((4, 4), 0.5, np.float32)
    sure[:2] = 1
    half = np.where(np.arange(16).reshape(4, 4) % 2, sure, torn)
    assert uncertainty(np.stack([sure, torn, half])) == pytest.approx([0, 1, 0.5], abs=1e-9)
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert uncertainty(np.full((1, 4, 4), 0.25, np.float32)) == pytest.approx([quarter])


def square(size: int = 8) -> tuple[Volume, Config]:
    """A grid whose planes are the network's own."""
    return Volume(np.zeros((1, size, size), np.uint8), np.eye(4)), preset("small", {"size": 16, "stages": 2})


def test_a_voxel_belongs_to_the_organ_of_largest_probability_that_reaches_the_threshold() -> None:
    grid, config = square(16)
    config = config.replace({"largest_component": False, "threshold": 0.6})
    probabilities = np.zeros((1, 3, 16, 16), np.float32)
    probabilities[0, :, 0, :5] = np.transpose([(0.9, 0.8, 0), (0.7, 0.9, 0), (0.5, 0.5, 0.59), (0.6, 0, 0), (0, 0, 1)])
    probabilities[0, :, 0, 5] = 0.7  # equal ones: the first
    found = to_labelmap(probabilities, grid, config)
    assert found.voxels.dtype == np.uint8
    assert found.voxels[0, 0, :6].tolist() == [1, 2, 0, 1, 3, 1]
    assert not found.voxels[0, 1:].any()


def test_the_largest_component_is_kept_of_each_organ() -> None:
    grid, config = square(16)
    probabilities = np.zeros((1, 2, 16, 16), np.float32)
    probabilities[0, 0, 2:5, 2:5] = probabilities[0, 0, 9, 9] = 1
    probabilities[0, 1, 9, 10:14] = probabilities[0, 1, 1, 1] = 1  # touches the first organ's smaller part
    expected = np.zeros((1, 16, 16), np.uint8)
    expected[0, 2:5, 2:5], expected[0, 9, 10:14] = 1, 2
    assert np.array_equal(to_labelmap(probabilities, grid, config).voxels, expected)


def test_one_organ_is_cut_at_the_threshold_and_no_other_organ_changes_that() -> None:
    volume, _ = acquisition(degrees=(10, 0, 5))
    config = settings()
    generator = np.random.default_rng(0)
    counts = SliceFrame.of(volume).count
    probabilities = generator.random((counts, 1, 128, 128), dtype=np.float32)
    frame = SliceFrame.of(volume)
    expected = np.zeros(volume.shape, np.uint8)
    frame.planes(expected)[:] = PlaneGrid.of(frame, config.slices).to_plane(probabilities[:, 0]) >= 0.5
    expected = largest_component(expected)
    assert np.array_equal(to_labelmap(probabilities, volume, config).voxels, expected)
    beside = np.concatenate([probabilities, np.zeros_like(probabilities)], axis=1)
    assert np.array_equal(to_labelmap(beside, volume, config).voxels, expected)


@pytest.mark.parametrize("organs", [1, 5])
def test_organs_that_reach_the_threshold_nowhere_are_not_resampled(
    organs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, _ = acquisition(degrees=(10, 0, 5))
    config, frame = settings(largest_component=False, threshold=0.6), SliceFrame.of(volume)
    generator = np.random.default_rng(0)
    probabilities = generator.random((frame.count, organs, 128, 128), dtype=np.float32)
    probabilities *= generator.choice(np.array([0.5, 0.6, 0.61, 1], np.float32), (frame.count, organs, 1, 1))
    probabilities[0, :, 40:80, 40:80] = 0.6  # just reached
    plane_grid, expected = PlaneGrid.of(frame, config.slices), np.zeros(volume.shape, np.uint8)
    for plane, image in zip(frame.planes(expected), probabilities, strict=True):
        resampled = plane_grid.to_plane(image)
        plane[:] = (resampled.argmax(axis=0) + 1) * (resampled.max(axis=0) >= 0.6)
    assert set(np.unique(expected)) == set(range(organs + 1))
    real, counts = PlaneGrid.to_plane, []
    monkeypatch.setattr(PlaneGrid, "to_plane", lambda self, images: (counts.append(len(images)), real(self, images))[1])
    assert np.array_equal(to_labelmap(probabilities, volume, config).voxels, expected)
    assert sum(counts) == (probabilities.max(axis=(2, 3)) >= np.float32(0.6)).sum() < 0.9 * frame.count * organs


def test_uncertainty_is_the_mean_over_organs() -> None:
    probabilities = np.random.default_rng(0).random((3, 2, 4, 4), dtype=np.float32)
    parts = [uncertainty(probabilities[:, organ]) for organ in range(2)]
    assert uncertainty(probabilities) == pytest.approx(np.mean(parts, axis=0).tolist(), rel=1e-12)
    assert uncertainty(probabilities[:, :1]) == parts[0]  # one organ: to the bit


def test_several_organs_of_a_volume_come_back_where_they_were() -> None:
    class Two(Threshold):
        def segment(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
            left = torch.linspace(1, -1, x.shape[-1])  # rows run to the patient's left
            bright = 20 * (x - 0.5)
            return torch.cat(
                [torch.where(left > 0, bright, -bright.abs()), torch.where(left <= 0, bright, -bright.abs())], 1
            )

    volume, block = acquisition((0, 1, 2), (-1, 1, -1))
    labelmap = run(volume, model=Two())
    assert dice(labelmap, block) > 0.95
    x = np.indices(volume.shape)[2] * -1.5 + volume.affine[0, 3]  # LPS: left is positive
    middle = (x[block].min() + x[block].max()) / 2
    assert abs(middle - CENTRE[0]) < 1.5
    assert set(np.unique(labelmap.voxels[x < CENTRE[0] - 3])) == {0, 1}
    assert set(np.unique(labelmap.voxels[x > CENTRE[0] + 3])) == {0, 2}

from __future__ import annotations

import numpy as np
import pytest

from VQBEGALLib.errors import InputError
from VQBEGALLib.export.segmentation import ANATOMICAL_STRUCTURE, Code, Segment, Segmentation
from VQBEGALLib.volumes import Volume

LIVER = {
    "value": 1,
    "name": "Liver",
    "color": [221, 130, 101],
    "type": {"value": "10200004", "scheme": "SCT", "meaning": "Liver"},
    "method": "SEMIAUTOMATIC",
}


def segment(**changes: object) -> Segment:
    return Segment.from_json({**LIVER, **changes})


def labelmap(*values: int) -> Volume:
    voxels = np.zeros((3, 4, 5), np.uint8)
    voxels[1, 1, : len(values)] = values
    return Volume(voxels, np.eye(4))


def test_a_segment_comes_from_json() -> None:
    assert segment() == Segment(
        value=1,
        name="Liver",
        color=(221, 130, 101),
        type=Code("10200004", "SCT", "Liver"),
        category=ANATOMICAL_STRUCTURE,
        method="SEMIAUTOMATIC",
    )
    assert segment(type=None).type is None
    lesion = {"value": "49755003", "scheme": "SCT", "meaning": "Morphologically Abnormal Structure"}
    assert segment(category=lesion).category.value == "49755003"


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 0},
        {"value": 256},
        {"value": True},
        {"value": "1"},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 65},
        {"color": [1, 2]},
        {"color": [0, 0, 256]},
        {"color": [0.1, 0.2, 0.3]},
        {"method": "GUESSED"},
        {"type": {"value": "1", "scheme": "SCT"}},
        {"type": {"value": "", "scheme": "SCT", "meaning": "x"}},
        {"category": "Organ"},
    ],
)
def test_a_wrong_segment_is_refused_with_a_remedy(changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        segment(**changes)
    assert caught.value.remedy


def test_something_else_is_no_segment() -> None:
    with pytest.raises(InputError):
        Segment.from_json([LIVER])


def test_segments_are_in_the_order_of_their_values() -> None:
    spleen, liver = segment(value=5, name="Spleen"), segment(value=2)
    made = Segmentation(labelmap=labelmap(2, 5, 2), segments=(spleen, liver))
    assert made.segments == (liver, spleen)
    assert made.empty() == []
    assert made.slices() == [1]


def test_empty_segments_are_told() -> None:
    spleen = segment(value=5, name="Spleen")
    assert Segmentation(labelmap=labelmap(1), segments=(segment(), spleen)).empty() == [spleen]
    assert Segmentation(labelmap=labelmap(), segments=(segment(),)).slices() == []


@pytest.mark.parametrize(
    ("values", "segments"),
    [
        ((1, 3), (segment(),)),
        ((1,), ()),
        ((1,), (segment(), segment(name="Spleen"))),
        ((1,), (segment(), segment(value=2))),
    ],
)
def test_labelmap_and_segments_must_agree(values: tuple[int, ...], segments: tuple[Segment, ...]) -> None:
    with pytest.raises(InputError):
        Segmentation(labelmap=labelmap(*values), segments=segments)


def test_a_labelmap_holds_small_whole_numbers() -> None:
    with pytest.raises(InputError, match="float32"):
        Segmentation(labelmap=Volume(np.zeros((2, 2, 2), np.float32), np.eye(4)), segments=(segment(),))

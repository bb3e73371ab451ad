from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from VQBEGALLib.export.codes import ORGANS, Organ, coded
from VQBEGALLib.export.segmentation import ANATOMICAL_STRUCTURE


@pytest.mark.parametrize("group", ["CID7151", "CID7192"])
@pytest.mark.parametrize("organ", ORGANS, ids=lambda organ: organ.name)
def test_every_code_stands_in_the_standard_under_its_name(organ: Organ, group: str) -> None:
    listed = getattr(codes, group)
    meanings = {code.value: code.meaning for code in (getattr(listed, name) for name in listed.dir())}
    assert meanings[organ.code.value].lower() == organ.code.meaning.lower()
    assert organ.code.scheme == "SCT"


@pytest.mark.parametrize(
    ("name", "expected", "code"),
    [
        ("liver", "Liver", "10200004"),
        (" LIVER ", "Liver", "10200004"),
        ("left_kidney", "Left kidney", "64033007"),
        ("Kidney-Right", "Right kidney", "64033007"),
        ("adrenal_gland_left", "Left adrenal gland", "23451007"),
        ("oesophagus", "Esophagus", "32849002"),
        ("IVC", "Inferior vena cava", "64131007"),
    ],
)
def test_an_organ_is_found_by_the_names_people_use(name: str, expected: str, code: str) -> None:
    segment = coded(name, value=7, method="MANUAL")
    assert segment is not None and segment.type is not None
    assert (segment.name, segment.type.value, segment.value, segment.method) == (expected, code, 7, "MANUAL")
    assert segment.category == ANATOMICAL_STRUCTURE


def test_an_unknown_name_is_not_guessed() -> None:
    assert coded("Liver tumour") is None
    assert coded("") is None


def test_no_name_stands_for_two_organs() -> None:
    names = [name for organ in ORGANS for name in {organ.name.lower(), *organ.aliases}]
    assert len(names) == len(set(names))

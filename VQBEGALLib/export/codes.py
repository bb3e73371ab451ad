"""Organs of the abdomen with their codes and colours, so that common ones need not be coded by hand.

Codes: SNOMED CT as in DICOM PS3.16, CID 7151 and 7192. Colours: 3D Slicer's list "General Anatomy"; vessels that are
not in it have its colours for a vein and an artery. A paired organ has the code of the organ and its side in its name:
the segment's description has no room for a modifier.
"""

from __future__ import annotations

from dataclasses import dataclass

from VQBEGALLib.export.segmentation import Code, Method, Segment

Color = tuple[int, int, int]

_VEIN: Color = (0, 151, 206)
_ARTERY: Color = (216, 101, 79)


@dataclass(frozen=True)
class Organ:
    """A coded structure.

    Args:
        name: for a person.
        code: segmented property type.
        color: red, green, blue, 0 to 255.
        aliases: other names, in small letters.
    """

    name: str
    code: Code
    color: Color
    aliases: tuple[str, ...] = ()


def _organ(value: str, name: str, color: Color, *aliases: str) -> Organ:
    return Organ(name, Code(value, "SCT", name), color, aliases)


def _pair(value: str, name: str, color: Color, *aliases: str) -> list[Organ]:
    code = Code(value, "SCT", name)
    sides = [
        Organ(
            f"{side} {name.lower()}",
            code,
            color,
            tuple(text for alias in (name.lower(), *aliases) for text in _with_side(alias, side.lower())),
        )
        for side in ("Left", "Right")
    ]
    return [Organ(name, code, color, aliases), *sides]


def _with_side(name: str, side: str) -> tuple[str, ...]:
    return f"{side} {name}", f"{name} {side}", f"{name} {side[0]}", f"{side[0]} {name}"


ORGANS: tuple[Organ, ...] = (
    _organ("10200004", "Liver", (221, 130, 101)),
    _organ("78961009", "Spleen", (157, 108, 162)),
    *_pair("64033007", "Kidney", (185, 102, 83)),
    *_pair("23451007", "Adrenal gland", (249, 186, 150), "adrenal", "suprarenal gland"),
    _organ("28231008", "Gallbladder", (139, 150, 98), "gall bladder"),
    _organ("28273000", "Bile duct", (0, 145, 30)),
    _organ("15776009", "Pancreas", (249, 180, 111)),
    _organ("32849002", "Esophagus", (211, 171, 143), "oesophagus"),
    _organ("69695003", "Stomach", (216, 132, 105)),
    _organ("38848004", "Duodenum", (255, 253, 229)),
    _organ("30315005", "Small intestine", (205, 167, 142), "small bowel"),
    _organ("71854001", "Colon", (204, 168, 143)),
    _organ("89837001", "Bladder", (222, 154, 132), "urinary bladder"),
    _organ("15825003", "Aorta", (224, 97, 76)),
    _organ("7832008", "Abdominal aorta", (224, 97, 76)),
    _organ("76015000", "Hepatic artery", _ARTERY),
    _organ("64131007", "Inferior vena cava", _VEIN, "ivc", "postcava"),
    _organ("32764006", "Portal vein", _VEIN),
    _organ("8993003", "Hepatic vein", _VEIN, "hepatic veins"),
    _organ("35819009", "Splenic vein", _VEIN),
    *_pair("39607008", "Lung", (197, 165, 145)),
    _organ("80891009", "Heart", (206, 110, 84)),
    _organ("2748008", "Spinal cord", (244, 214, 49)),
)
"""All that :func:`coded` knows."""

_BY_NAME = {name: organ for organ in ORGANS for name in (organ.name.lower(), *organ.aliases)}


def coded(name: str, *, value: int = 1, method: Method = "AUTOMATIC") -> Segment | None:
    """Return a segment of a common organ, coded and coloured; None where the organ is not known.

    Args:
        name: in English; case, underscores and hyphens do not matter: ``Left kidney``, ``kidney_left``, ``IVC``.
        value: of its voxels, 1 to 255.
        method: how it was made.

    Example:
        >>> coded("liver").type
        Code(value='10200004', scheme='SCT', meaning='Liver')
        >>> coded("Kidney_Left", value=2).name
        'Left kidney'
    """
    organ = _BY_NAME.get(" ".join(name.lower().replace("_", " ").replace("-", " ").split()))
    if organ is None:
        return None
    return Segment(value=value, name=organ.name, color=organ.color, type=organ.code, method=method)

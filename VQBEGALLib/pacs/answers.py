"""What a server said about each instance: the answer of STOW-RS, as JSON or XML, and status codes in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

REFERENCED, FAILED, OTHER_FAILURES = "00081199", "00081198", "0008119A"
SOP_INSTANCE, FAILURE, WARNING = "00081155", "00081197", "00081196"
UNCONFIRMED = "The server did not confirm it."
DUPLICATE = 0x0111

_REASONS = {
    0x0106: "the server finds an attribute's value invalid",
    0x0110: "the server failed to process it",
    0x0117: "the server finds the object invalid",
    0x0118: "the server does not take this kind of object",
    0x0120: "an attribute is missing",
    0x0122: "the server does not take this kind of object",
    0x0124: "the server does not allow this user to store",
    0x0131: "the server finds the values inconsistent",
    0xA770: "it belongs to another study",
    0xC122: "the server does not take this transfer syntax",
}
_RANGES = [
    (0xA700, 0xA7FF, "the server is out of space or memory"),
    (0xA900, 0xA9FF, "its content does not fit its kind"),
    (0xC000, 0xCFFF, "the server does not understand it"),
]


@dataclass
class Outcome:
    """Instances by SOP instance UID: stored ones, failed ones with a sentence, remarks on stored ones."""

    stored: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def knows(self, uid: str) -> bool:
        """Tell whether the server said anything about an instance."""
        return uid in self.stored or uid in self.failed

    def problem(self, uid: str) -> str:
        """Return what is wrong with an instance; empty where it is stored."""
        return self.failed.get(uid, "" if uid in self.stored else UNCONFIRMED)


def reason(code: int) -> str:
    """Return a sentence for a status of C-STORE or a failure reason of STOW-RS (PS3.4 B.2.3, PS3.18 I.2.2).

    Examples:
        >>> reason(0xA700)
        'Refused: the server is out of space or memory (A700).'
    """
    text = _REASONS.get(code) or next((text for low, high, text in _RANGES if low <= code <= high), "no reason given")
    return f"Refused: {text} ({code:04X})."


def is_warning(code: int) -> bool:
    """Tell whether a status says that an instance is stored, with a remark."""
    return code == 0x0001 or 0xB000 <= code <= 0xBFFF


def read_answer(body: bytes) -> Outcome | None:
    """Read the body of an answer of STOW-RS; None where it is not one. An empty body confirms nothing."""
    content = body.strip()
    if not content:
        return Outcome()
    try:
        if content[:1] in b"{[":
            data = json.loads(content)
            data = data[0] if isinstance(data, list) and len(data) == 1 else data
        else:
            data = _from_xml(content)
        return _outcome(data) if isinstance(data, dict) else None
    except (ValueError, RecursionError, ElementTree.ParseError):
        return None


def values(data: Mapping[str, Any], tag: str) -> list[Any]:
    """Return the values of an attribute in DICOM's JSON model; empty where there are none."""
    attribute = data.get(tag)
    found = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return found if isinstance(found, list) else []


def text(data: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an attribute as text; empty where there is none."""
    found = values(data, tag)
    return str(found[0]).strip() if found and isinstance(found[0], str | int | float) else ""


def _outcome(data: Mapping[str, Any]) -> Outcome:
    outcome = Outcome()
    for item in _items(data, REFERENCED):
        uid = text(item, SOP_INSTANCE)
        outcome.stored.add(uid)
        if code := _code(item, WARNING):
            outcome.remarks[uid] = f"stored with changes ({code:04X})"
    for item in _items(data, FAILED) + _items(data, OTHER_FAILURES):
        uid, code = text(item, SOP_INSTANCE), _code(item, FAILURE)
        if code == DUPLICATE:  # an attempt before this one, whose answer was lost
            outcome.stored.add(uid)
        else:
            outcome.failed[uid] = reason(code)
    return outcome


def _items(data: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [item for item in values(data, tag) if isinstance(item, Mapping)]


def _code(item: Mapping[str, Any], tag: str) -> int:
    number = text(item, tag)
    return int(number) & 0xFFFF if number.isdecimal() else 0


def _from_xml(body: bytes) -> dict[str, Any] | None:
    """Turn the native DICOM model (PS3.19 A.1) into the JSON model; None for any other XML."""
    if b"\0" in body or b"<!" in body.replace(b"<!--", b""):  # no entities, nor encodings that would hide them
        return None
    root = ElementTree.fromstring(body)
    return _attributes(root) if _name(root) == "NativeDicomModel" else None


def _attributes(element: ElementTree.Element) -> dict[str, Any]:
    found = {}
    for child in element:
        items: list[Any] = [_attributes(item) for item in child if _name(item) == "Item"]
        items += [item.text or "" for item in child if _name(item) == "Value"]
        found[child.get("tag", "").upper()] = {"Value": items}
    return found


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]

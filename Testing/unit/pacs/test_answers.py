"""What a server said of each instance, in its two languages, and codes in words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VQBEGALLib.pacs.answers import UNCONFIRMED, read_answer, reason


def attribute(*values: object) -> dict[str, object]:
    return {"vr": "UN", "Value": list(values)}


def test_every_instance_has_one_fate():
    good = {"00081155": attribute("1.1")}
    changed = {"00081155": attribute("1.2"), "00081196": attribute(0xB007)}
    bad = {"00081155": attribute("1.3"), "00081197": attribute(0xC122)}
    both = {"00081155": attribute("1.1"), "00081197": attribute(0x0110)}
    silent = {"00081155": attribute("1.4")}
    other = {"00081197": attribute(0x0110)}
    answer = {
        "00081199": attribute(good, changed),
        "00081198": attribute(bad, both, silent),
        "0008119A": attribute(other),
    }
    outcome = read_answer(json.dumps([answer]).encode())
    assert outcome.problem("1.1").startswith("Refused: the server failed")
    assert outcome.problem("1.2") == ""
    assert outcome.remarks == {"1.2": "stored with changes (B007)"}
    assert outcome.problem("1.3") == "Refused: the server does not take this transfer syntax (C122)."
    assert outcome.problem("1.4") == "Refused: no reason given (0000)."
    assert outcome.problem("1.5") == UNCONFIRMED


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from(["00081199", "00081198", "00081155", "00081197", "Value"]), x)
        ),
        max_leaves=20,
    )
)
def test_no_answer_makes_an_instance_stored_by_mistake_or_the_reader_fall(data: object):
    outcome = read_answer(json.dumps(data).encode())
    assert outcome is None or outcome.problem("1.2.3")


@pytest.mark.parametrize(
    "body",
    [
        b"<a>",
        b"<NativeDicomModel",
        b"<html/>",
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><NativeDicomModel/>',
        b"{",
        b"7",
        "<NativeDicomModel/>".encode("utf-16"),
    ],
)
def test_what_is_no_answer_is_none(body: bytes):
    assert read_answer(body) is None


@pytest.mark.parametrize(
    ("code", "words"),
    [(0xA7FF, "out of space"), (0xA901, "kind"), (0xC000, "understand"), (0x0124, "allow"), (1, "no r")],
)
def test_codes_have_words(code: int, words: str):
    assert words in reason(code)
    assert f"({code:04X})" in reason(code)

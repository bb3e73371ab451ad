"""A server's profile is valid once built, and a password shows itself nowhere."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from VQBEGALLib.errors import InputError, VQBEGALError
from VQBEGALLib.events import Reporter
from VQBEGALLib.pacs import Secret, Server, connect
from VQBEGALLib.pacs.connection import checked_uid

HIDDEN = "s3cret-Wört"


def server(url: str = "https://pacs.example.org/dicom-web", **changes: object) -> Server:
    return Server.from_json({"name": "PACS-A", "url": url, **changes})


@pytest.mark.parametrize(
    ("url", "changes", "expected"),
    [
        ("https://pacs.example.org/dicom-web", {}, ("https", "pacs.example.org", 443, "", True)),
        ("http://10.0.0.1:8042/dicom-web/", {"plain": True}, ("http", "10.0.0.1", 8042, "", False)),
        ("https://[2001:db8::1]:8443/", {}, ("https", "2001:db8::1", 8443, "", True)),
        ("dicoms://MAIN_PACS@pacs:2763", {}, ("dicoms", "pacs", 2763, "MAIN_PACS", True)),
        ("dicom://PACS@pacs", {"plain": True}, ("dicom", "pacs", 104, "PACS", False)),
    ],
)
def test_an_address_is_taken_apart(url: str, changes: dict, expected: tuple):
    profile = server(url, **changes)
    assert (profile.scheme, profile.host, profile.port, profile.aet, profile.encrypted) == expected
    assert profile.web == (profile.scheme in ("http", "https"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (f"https://user:{HIDDEN}@pacs.example.org/dicom-web", "holds a user"),
        (f"https://{HIDDEN}@pacs.example.org/dicom-web", "holds a user"),
        (f"dicoms://PACS:{HIDDEN}@pacs:104", "no application entity"),
        ("dicoms://pacs:104", "no application entity"),
        ("dicoms://SEVENTEEN_LETTERS@pacs:104", "no application entity"),
        ("dicoms://PACS@pacs:104/path", "no application entity"),
        ("http://pacs.example.org/dicom-web", "not encrypted"),
        ("dicom://PACS@pacs:104", "not encrypted"),
        (f"https://pacs.example.org/dicom-web?token={HIDDEN}", "query"),
        (f"https://pacs.example.org/dicom-web#{HIDDEN}", "query"),
        ("https://pacs.example.org:99999/", "damaged"),
        ("https://pacs.example.org:0/", "not one of a PACS"),
        ("https://[::1/", "damaged"),
        ("https:///dicom-web", "not one of a PACS"),
        ("ftp://pacs.example.org", "not one of a PACS"),
        ("file:///etc/passwd", "not one of a PACS"),
        ("pacs.example.org", "not one of a PACS"),
        ("https://pacs.example.org\\@elsewhere.example.org", "a query or a space|holds a user|not one of"),
        ("https://pacs.example.org/\r\nX: y", "control character"),
        ("", "not one of a PACS"),
    ],
)
def test_a_wrong_address_is_refused_and_not_repeated(url: str, sentence: str):
    with pytest.raises(InputError, match=sentence) as error:
        server(url)
    assert HIDDEN not in "".join(traceback.format_exception(error.value))
    assert error.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": "https://a"},
        {"name": 3},
        {"auth": "digest"},
        {"auth": "basic"},
        {"auth": "basic", "user": "a:b"},
        {"url": "dicoms://PACS@pacs", "auth": "basic", "user": "x"},
        {"key_file": "key.pem"},
        {"plain": "yes"},
        {"plain": 1},
        {"attempts": 0},
        {"attempts": 2.5},
        {"attempts": True},
        {"connect_timeout": float("nan")},
        {"read_timeout": 1e9},
        {"calling_aet": ""},
        {"calling_aet": "SEVENTEEN_LETTERS"},
        {"calling_aet": "BACK\\SLASH"},
        {"user": "two\nlines"},
        {"verify": False},
        {"password": HIDDEN},
        {"secret": HIDDEN},
    ],
    ids=str,
)
def test_a_wrong_field_is_refused(changes: dict):
    with pytest.raises(InputError) as error:
        server(**changes)
    assert HIDDEN not in str(error.value)


@pytest.mark.parametrize("data", [None, [], {}, {"name": "x"}, "https://pacs.example.org"])
def test_what_is_no_server_is_refused(data: object):
    with pytest.raises(InputError, match="incomplete"):
        Server.from_json(data)


def test_json_goes_round():
    profile = server(user="clinician", auth="basic", ca_file="/ca.pem", attempts=5, read_timeout=7)
    assert Server.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_a_secret_shows_dots_and_cannot_be_written():
    secret = Secret(HIDDEN)
    assert secret.reveal() == HIDDEN
    for text in (str(secret), repr(secret), f"{secret}", f"{[secret]}", "%s" % secret):  # noqa: UP031
        assert "•••" in text
        assert HIDDEN not in text
    for write in (pickle.dumps, json.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as error:
            write(secret)
        assert HIDDEN not in str(error.value)
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("text", ["", "a\nb", "a\r\nX-Injected: 1", "a\0"])
def test_an_empty_secret_or_one_with_line_breaks_is_refused(text: str):
    with pytest.raises(InputError) as error:
        Secret(text)
    assert "Injected" not in str(error.value)


def test_an_error_on_the_way_does_not_show_the_password():
    profile = server("http://127.0.0.1:1/dicom-web", plain=True, auth="basic", user="clinician", attempts=1)
    patient = "PID-PLANTED-4711"
    with connect(profile, Secret(HIDDEN), Reporter()) as connection, pytest.raises(VQBEGALError) as error:
        connection.query(patient=patient)
    text = "".join(traceback.format_exception(error.value, chain=True)) + repr(error.value) + repr(connection)
    assert HIDDEN not in text
    assert patient not in text
    assert error.value.__context__ is None


@pytest.mark.parametrize("uid", ["", "1.", ".1", "1..2", "1.2/3", "../1", "1.2 ", "1,2", "1.²", "1" * 65, None])
def test_what_is_no_uid_is_refused(uid: str):
    with pytest.raises(InputError):
        checked_uid(uid)

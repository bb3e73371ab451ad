"""``vqbegal server``: profiles without passwords, files that hold wherever a command is called."""

from __future__ import annotations

import io
import json

import pytest

PASSWORD = "Sécret-4711"


@pytest.fixture
def give(monkeypatch):
    return lambda data: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_servers_are_added_listed_and_removed(call, own_settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    url = "https://pacs.example.org/dicom-web"
    assert call("server", "add", "A", url, "--user", "jdoe", "--ca-file", "ca.pem").code == 0
    (server,) = call("server", "list", "--events", "json").events[-1]["servers"]
    assert (server["name"], server["url"], server["auth"]) == ("A", url, "basic")
    assert server["ca_file"] == str(tmp_path / "ca.pem")
    assert own_settings.stat().st_mode & 0o077 == 0
    assert call("server", "remove", "A").code == 0
    assert "No server" in call("server", "list").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("A", "https://pacs.example.org", "--ca-file", "nothing.pem"), "does not exist"),
        (("A", "http://pacs.example.org"), "encrypted"),
        (("A", "https://jdoe:pw1234@pacs.example.org"), "address"),
        (("A", "https://pacs.example.org", "--password-stdin"), "Nothing is done with the password"),
        (("A", "https://pacs.example.org", "--remember-password"), "asks for no password"),
    ],
)
def test_what_cannot_be_is_told(call, give, words, says):
    give(b"x\n")
    told = call("server", "add", *words)
    assert told.code == 3
    assert says in told.err
    assert "pw1234" not in told.err


@pytest.mark.parametrize(("data", "says"), [(b"\xf6\xff\n", "not UTF-8"), (b"\n", "empty")], ids=["not UTF-8", "empty"])
def test_a_password_that_cannot_be_read_is_not_shown(call, give, data, says):
    call("server", "add", "A", "https://127.0.0.1:9", "--user", "jdoe")
    give(data)
    told = call("server", "test", "A", "--password-stdin")
    assert told.code == 3
    assert says in told.err
    assert "0xf6" not in told.err


@pytest.mark.parametrize("text", ['{"server": "x"}', "[]", "nonsense", '{"server": {"name": "A"}}', "{}"])
def test_standard_input_that_names_no_server_is_told(call, give, text):
    give(text.encode())
    told = call("server", "test", "--stdin")
    assert told.code == 3
    assert "Traceback" not in told.err


def test_nobody_is_asked_where_nobody_can_answer(call, give):
    call("server", "add", "A", "https://127.0.0.1:9", "--user", "jdoe")
    give(b"")
    told = call("server", "test", "A")
    assert told.code == 9
    assert "--password-stdin" in told.err


def test_the_password_reaches_neither_settings_nor_messages(call, give, own_settings):
    fields = {
        "name": "A",
        "url": "https://127.0.0.1:9",
        "user": "jdoe",
        "auth": "basic",
        "secret": PASSWORD,
        "attempts": 1,
    }
    give(json.dumps({"server": fields}).encode())
    told = call("server", "test", "--stdin", "--debug")
    assert told.code == 9
    assert PASSWORD not in told.out + told.err
    assert not [path for path in own_settings.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]

"""The servers that the command line remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from VQBEGALLib.errors import InputError
from VQBEGALLib.pacs import Server, find_server, load_servers, remove_server, save_server

A = Server(name="A", url="https://a.example.org/dicom-web", user="clinician", auth="basic")
B = Server(name="Bëta", url="dicoms://PACS@b.example.org:2762", cert_file="client.pem")


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of settings that does not exist yet."""
    monkeypatch.setenv("VQBEGAL_CONFIG", str(tmp_path / "new" / "settings"))
    return tmp_path / "new" / "settings"


def test_servers_are_saved_replaced_found_and_removed(settings: Path):
    assert load_servers() == []
    for server in (B, A):
        save_server(server)
    assert load_servers() == [A, B]
    save_server(Server(name="A", url="https://new.example.org"))
    assert find_server("A").host == "new.example.org"
    remove_server("A")
    assert load_servers() == [B]
    assert [path.name for path in settings.iterdir()] == ["servers.json"]


def test_an_address_is_a_server_without_being_remembered():
    assert find_server("https://c.example.org/dicom-web").name == "c.example.org"
    with pytest.raises(InputError, match="not encrypted"):
        find_server("http://c.example.org")
    with pytest.raises(InputError) as error:
        find_server("https://user:s3cret@c.example.org/")
    assert "s3cret" not in str(error.value)


def test_an_unknown_name_is_answered_with_the_known_ones():
    save_server(A)
    for ask in (find_server, remove_server):
        with pytest.raises(InputError, match="There are A; add it"):
            ask("C")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"servers": 3}', '{"servers": [{"name": "A"}]}', '{"servers": [3]}'])
def test_a_damaged_list_is_named_and_kept(settings: Path, text: str):
    settings.mkdir(parents=True)
    (settings / "servers.json").write_text(text, encoding="utf-8")
    for ask in (load_servers, lambda: save_server(A), lambda: find_server("A")):
        with pytest.raises(InputError, match=r"servers\.json cannot be read"):
            ask()
    assert (settings / "servers.json").read_text(encoding="utf-8") == text


def test_without_the_variable_the_user_s_own_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VQBEGAL_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    save_server(A)
    assert len(list(tmp_path.rglob("servers.json"))) == 1

"""Servers that the command line remembers, by name, in the user's settings; never a password."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from VQBEGALLib.errors import InputError, StudyError
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.storage import make_folder, read_json, storing, write_json
from VQBEGALLib.volumes.libraries import library

FOLDER_VARIABLE = "VQBEGAL_CONFIG"
"""Environment variable with the folder of the settings, in place of the user's."""


def load_servers() -> list[Server]:
    """Return the remembered servers, by name.

    Raises:
        InputError: the file that holds them is damaged.
    """
    path = _path()
    if not path.exists():
        return []
    try:
        items = read_json(path)["servers"]
        servers = [Server.from_json(item) for item in items]
    except (StudyError, InputError, TypeError, KeyError):
        raise InputError(f"{path} cannot be read as a list of servers.", "Correct it, or delete it.") from None
    return sorted(servers, key=lambda server: server.name)


def save_server(server: Server) -> None:
    """Remember a server, in place of one of the same name.

    Raises:
        InputError: the file that holds them is damaged.
        StorageError: it cannot be written.
    """
    _save([*(other for other in load_servers() if other.name != server.name), server])


def remove_server(name: str) -> None:
    """Forget a server.

    Raises:
        InputError: there is none of that name.
        StorageError: the file cannot be written.
    """
    find_server(name)
    _save([server for server in load_servers() if server.name != name])


def find_server(name_or_url: str) -> Server:
    """Return the server of a name, or one at an address that nobody remembered.

    Args:
        name_or_url: the name of a remembered server, or an address; then its computer's name is the server's.

    Raises:
        InputError: there is none of that name, or the address is wrong.
    """
    if "://" in name_or_url:
        nameless = Server(name="server", url=name_or_url)
        return dataclasses.replace(nameless, name=nameless.host)
    servers = {server.name: server for server in load_servers()}
    if name_or_url not in servers:
        known = f"There are {', '.join(servers)}; add" if servers else "Add"
        raise InputError(f"There is no server called {name_or_url!r}.", f"{known} it with `vqbegal server add`.")
    return servers[name_or_url]


def _save(servers: list[Server]) -> None:
    make_settings_folder()
    write_json(_path(), {"servers": [server.to_json() for server in sorted(servers, key=lambda item: item.name)]})


def _path() -> Path:
    return settings_folder() / "servers.json"


def make_settings_folder() -> None:
    """Make the folder of the settings, for this user alone: servers and folders' names are nobody else's business.

    Raises:
        StorageError: it cannot be made.
    """
    folder = settings_folder()
    make_folder(folder)
    with storing(folder):
        folder.chmod(0o700)


def settings_folder() -> Path:
    """Return the folder with what this user's computer remembers across studies; it may not exist yet.

    Raises:
        MissingDependencyError: platformdirs is not installed.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        folder = library("platformdirs", needed_by="the list of servers").user_config_path("vqbegal", appauthor=False)
    return Path(folder)

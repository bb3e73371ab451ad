"""Where a command gets a server and its password from; neither is ever among a process's arguments."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO

from VQBEGALLib.errors import InputError, ServerError
from VQBEGALLib.pacs.profiles import find_server
from VQBEGALLib.pacs.secrets import remembered
from VQBEGALLib.pacs.server import Secret, Server

_MOST = 1 << 16
"""Bytes that are read from standard input."""


@dataclass(frozen=True)
class Told:
    """What standard input says in place of options, where ``--stdin`` is given; not shown when printed."""

    _values: dict[str, Any]

    def __repr__(self) -> str:
        return "Told(…)"

    def text(self, key: str, otherwise: str = "") -> str:
        """Return a text by its key.

        Raises:
            InputError: it is something else.
        """
        value = self._values.get(key) or otherwise
        if not isinstance(value, str):
            raise InputError(f"{key} in standard input is not a text.", "Write it in quotation marks.")
        return value.strip()

    @property
    def server(self) -> dict[str, Any]:
        """The server's fields, and ``secret``; empty where there is none. An InputError where it is something else."""
        server = self._values.get("server") or {}
        if not isinstance(server, dict):
            raise InputError("server in standard input is not an object.", "Write its fields in braces.")
        return dict(server)


def told(options: argparse.Namespace) -> Told:
    """Read standard input where ``--stdin`` asks for it.

    Raises:
        InputError: it is not one JSON object.
    """
    if not getattr(options, "stdin", False):
        return Told({})
    try:
        values = json.loads(_input().read(_MOST))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InputError("Standard input is not one JSON object.", "Write it as the help of --stdin shows.") from None
    return Told(values)


def server_of(options: argparse.Namespace, given: Told) -> tuple[Server, Secret | None]:
    """Return the server that is meant, and its password where it asks for one.

    The password comes from standard input, else from the system's keyring, else a person at a terminal is asked.

    Raises:
        InputError: no server is named, or none of that name is remembered.
        ServerError: there is no password and nobody to ask.
    """
    server, text = server_named(options, given), given.server.get("secret")
    return server, Secret(text) if isinstance(text, str) and text else password(options, server)


def server_named(options: argparse.Namespace, given: Told) -> Server:
    """Return the server that is meant; an InputError where none is, or none of that name is remembered."""
    fields = given.server
    fields.pop("secret", None)
    if fields:
        return Server.from_json(fields)
    if options.server:
        return find_server(options.server)
    raise InputError("No server is named.", "Name one with --server, or in standard input with --stdin.")


def password(options: argparse.Namespace, server: Server) -> Secret | None:
    """Return the password of a server, None where it asks for none.

    Raises:
        InputError: the first line of standard input is empty.
        ServerError: there is no password and nobody to ask.
    """
    if server.auth == "none":
        return None
    if options.password_stdin:
        try:
            return Secret(_input().readline(_MOST).decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError:
            raise InputError("The password on standard input is not UTF-8.", "Write it in UTF-8.") from None
    if (known := remembered(server)) is not None:
        return known
    if not sys.stdin.isatty():
        raise ServerError(f"{server.name} asks for a password.", "Give it with --password-stdin.")
    return Secret(getpass.getpass(f"Password for {server.name}: "))


def _input() -> BinaryIO:
    """Return standard input as bytes: what it says is UTF-8 whatever the terminal's encoding."""
    return sys.stdin.buffer

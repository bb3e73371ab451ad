"""How to reach a PACS: its address and how it is trusted; and a password that never shows itself."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, cast, get_args
from urllib.parse import SplitResult, urlsplit

from VQBEGALLib.errors import InputError

Authentication = Literal["none", "basic", "bearer"]
PORTS = {"http": 80, "https": 443, "dicom": 104, "dicoms": 2762}
"""Schemes of an address, each with its port where the address names none."""

_HOST = re.compile(r"[0-9A-Za-z._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_AET = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")


class Secret:
    """A password or a token; texts made of it show dots, and it cannot be pickled or written as JSON.

    Raises:
        InputError: it is empty or holds a control character.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text or not text.isprintable():
            raise InputError("The password is empty or holds a line break.", "Enter it anew.")
        self._text = text

    def reveal(self) -> str:
        """Return it, to hand it to a server or to the system's keyring."""
        return self._text

    def __repr__(self) -> str:
        return "•••"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password is not written down")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A PACS; valid once built, and free of passwords. TLS certificates are always checked.

    Args:
        name: for a person.
        url: ``https://…`` is a DICOMweb root, ``dicoms://AET@host:port`` the DICOM protocol over TLS; ``http://`` and
            ``dicom://`` are the same without encryption and need ``plain``.
        user: for Basic authentication.
        auth: what DICOMweb asks for: nothing, user and password, or a bearer token.
        ca_file: PEM file of the authorities to trust in place of the system's.
        cert_file: PEM file of the client's certificate, where the server wants one.
        key_file: PEM file of its key, where it is not in the same file.
        plain: allows an address without encryption.
        proxies: use the system's proxies.
        calling_aet: application entity that this computer calls itself in the DICOM protocol.
        connect_timeout: seconds to wait for a connection.
        read_timeout: seconds to wait for the next part of an answer.
        attempts: how often a request is sent at most.

    Raises:
        InputError: a value is missing or wrong; the text never holds the address, which might hold a password.
    """

    name: str
    url: str
    user: str = ""
    auth: Authentication = "none"
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    plain: bool = False
    proxies: bool = False
    calling_aet: str = "VQBEGAL"
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    attempts: int = 3

    def __post_init__(self) -> None:
        self._check_types()
        if not self.name.strip() or len(self.name) > 64 or not self.name.isprintable() or "://" in self.name:
            raise InputError("A server's name is empty, too long or an address.", "Give 1 to 64 printable letters.")
        self._check_address()
        self._check_identity()
        for name, low, high in (("connect_timeout", 0.1, 600), ("read_timeout", 0.1, 3600), ("attempts", 1, 10)):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"{self.name}: {name} is {value}.", f"Choose a value from {low} to {high}.")

    @property
    def scheme(self) -> str:
        """``https``, ``http``, ``dicoms`` or ``dicom``."""
        return self._parts.scheme

    @property
    def host(self) -> str:
        """Name or number of the computer."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._parts.port or PORTS[self.scheme]

    @property
    def aet(self) -> str:
        """Application entity that is called; empty for DICOMweb."""
        return "" if self.web else self._parts.netloc.rpartition("@")[0]

    @property
    def web(self) -> bool:
        """Whether it is reached through DICOMweb, not through the DICOM protocol."""
        return self.scheme in ("http", "https")

    @property
    def encrypted(self) -> bool:
        """Whether TLS protects what is sent."""
        return self.scheme in ("https", "dicoms")

    @classmethod
    def from_json(cls, data: object) -> Server:
        """Build from plain JSON values.

        Raises:
            InputError: a value is missing, wrong or unknown.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(data, Mapping) or not {"name", "url"} <= set(data):
            raise InputError("A server is incomplete.", "Give its name and url.")
        if unknown := {str(key) for key in data} - known:
            raise InputError(f"A server has no {sorted(unknown)[0]!r}.", f"It may have {', '.join(sorted(known))}.")
        return cls(**cast("dict[str, Any]", dict(data)))

    def to_json(self) -> dict[str, Any]:
        """Return plain values that :meth:`from_json` takes."""
        return dataclasses.asdict(self)

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    def _check_types(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kinds: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float)}
            kind = kinds.get(str(field.type), (str,))
            if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
                raise InputError(f"A server's {field.name} has the wrong type.", f"Its type is {field.type}.")
            if isinstance(value, str) and not value.isprintable():
                raise InputError(f"A server's {field.name} holds a control character.", "Enter it anew.")

    def _check_address(self) -> None:
        try:
            parts = self._parts
            host, port, login = parts.hostname or "", parts.port, parts.netloc.rpartition("@")[0]
        except ValueError:
            raise InputError(f"The address of {self.name} is damaged.", _ADDRESS) from None
        if parts.scheme not in PORTS or not _HOST.fullmatch(host) or port == 0:
            raise InputError(f"The address of {self.name} is not one of a PACS.", _ADDRESS)
        if parts.query or parts.fragment or any(letter in self.url for letter in " ?#\\"):
            raise InputError(f"The address of {self.name} has a query or a space.", _ADDRESS)
        if self.web and "@" in self.url:
            raise InputError(f"The address of {self.name} holds a user.", "Give user and password in their own fields.")
        if not self.web and (not _AET.fullmatch(login) or ":" in login or parts.path.strip("/")):
            raise InputError(f"The address of {self.name} names no application entity.", _ADDRESS)
        if not self.encrypted and not self.plain:
            secure = "https://" if self.web else "dicoms://"
            raise InputError(
                f"The address of {self.name} is not encrypted.",
                f"Use {secure}, or allow plain connections where the network is trusted.",
            )

    def _check_identity(self) -> None:
        if self.auth not in get_args(Authentication):
            raise InputError(f"{self.name}: there is no such authentication.", "Choose none, basic or bearer.")
        if self.auth != "none" and not self.web:
            raise InputError(f"{self.name}: the DICOM protocol has no passwords.", "Use a client certificate.")
        if self.auth == "basic" and (not self.user or ":" in self.user):
            raise InputError(f"{self.name}: the user is missing or holds a colon.", "Enter the user's name.")
        if self.key_file and not self.cert_file:
            raise InputError(f"{self.name}: there is a key and no certificate.", "Give the client's certificate too.")
        if not _AET.fullmatch(self.calling_aet):
            raise InputError(f"{self.name}: the calling application entity is wrong.", "Use 1 to 16 ASCII letters.")


_ADDRESS = "Use https://host/dicom-web for DICOMweb or dicoms://AET@host:port for the DICOM protocol."

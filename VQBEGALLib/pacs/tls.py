"""Whom we trust: certificates of the server and of this computer, and what is wrong with them in words."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from VQBEGALLib.errors import MissingDependencyError, ServerError
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.volumes.libraries import library

_CLOCK = "Ask those who run the server to renew it, and check this computer's clock."
_AUTHORITY = "Choose the CA file of the authority that signed it; those who run the server have it."
_NAME = "Use the host name that the certificate is for, or ask for a new certificate."
_OWN = "Choose the client certificate and its key that those who run the server gave you."

_CHECKS = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", _CLOCK),
    18: ("is signed by itself", _AUTHORITY),
    19: ("is signed by an authority that this computer does not know", _AUTHORITY),
    20: ("is signed by an authority that this computer does not know", _AUTHORITY),
    21: ("is signed by an authority that this computer does not know", _AUTHORITY),
    23: ("was revoked", "Ask those who run the server."),
    62: ("is for another host name", _NAME),
    64: ("is for another address", _NAME),
}
"""OpenSSL's codes of a certificate that was refused (X509_V_ERR_…)."""

_ALERTS = {
    "CERTIFICATE_REQUIRED": ("wants a client certificate", _OWN),
    "HANDSHAKE_FAILURE": ("refuses the connection; it may want a client certificate", _OWN),
    "UNKNOWN_CA": ("does not know the authority of the client certificate", _OWN),
    "CERTIFICATE_EXPIRED": ("says that the client certificate has expired", _OWN),
    "BAD_CERTIFICATE": ("does not accept the client certificate", _OWN),
    "CERTIFICATE_UNKNOWN": ("does not accept the client certificate", _OWN),
    "WRONG_VERSION_NUMBER": ("does not speak TLS at this port", "Check the port."),
    "PROTOCOL_VERSION": ("speaks only outdated versions of TLS", "Ask for TLS 1.2 or later."),
    "UNSUPPORTED_PROTOCOL": ("speaks only outdated versions of TLS", "Ask for TLS 1.2 or later."),
}
"""Ends of OpenSSL's names for what ended a handshake."""


def make_context(server: Server) -> ssl.SSLContext:
    """Return what a TLS connection to a server is made with: certificate and host name are always checked.

    Raises:
        ServerError: a file of certificates or keys is missing, damaged or locked with a password.
    """
    context = ssl.create_default_context(cafile=_file(server, server.ca_file, "CA file") or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not server.ca_file:
        _add_bundled_authorities(context)
    if server.cert_file:
        certificate = _file(server, server.cert_file, "client certificate")
        key = _file(server, server.key_file, "key") or None
        if not _loaded(context, certificate, key):
            raise ServerError(
                f"{server.name}: the client certificate and its key cannot be used.",
                "Give them as PEM files that belong together; the key must not be locked with a password.",
            )
    return context


def explain_tls(server: Server, error: ssl.SSLError) -> ServerError:
    """Return the error that says which certificate is refused, by whom, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        problem, remedy = _CHECKS.get(error.verify_code, ("is refused", _AUTHORITY))
        return ServerError(f"The certificate of {server.name} {problem}; nothing was sent.", remedy)
    reason = error.reason or ""
    for end, (problem, remedy) in _ALERTS.items():
        if reason.endswith(end):
            return ServerError(f"{server.name} {problem}.", remedy)
    return ServerError(f"No encrypted connection to {server.name} came about.", "Check address, port and certificates.")


def _file(server: Server, name: str, what: str) -> str:
    if name and not Path(name).is_file():
        raise ServerError(f"{server.name}: the file with the {what} does not exist.", "Choose it anew.")
    if name and what == "CA file":
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(name)
        except (ssl.SSLError, OSError):
            damaged = True
        else:
            damaged = False
        if damaged:
            raise ServerError(f"{server.name}: the CA file holds no certificate.", "Choose a PEM file.")
    return name


def _loaded(context: ssl.SSLContext, certificate: str, key: str | None) -> bool:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError):
        return False
    return True


def _no_password() -> NoReturn:
    """Keep OpenSSL from asking for the key's password on the terminal."""
    raise ValueError


def _add_bundled_authorities(context: ssl.SSLContext) -> None:
    """Trust the authorities that requests brings too: some builds of Python find none of the system's."""
    try:
        context.load_verify_locations(library("certifi").where())
    except (MissingDependencyError, ssl.SSLError, OSError):
        return

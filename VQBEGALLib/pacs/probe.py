"""Why a connection broke off: once more, and in silence, so that the server's last word is not lost."""

from __future__ import annotations

import socket
import ssl

from VQBEGALLib.pacs.server import Server
from VQBEGALLib.pacs.trouble import Trouble, of_exception, unreachable

_SECONDS_FOR_AN_ALERT = 1.0


def probe(server: Server, tls: ssl.SSLContext | None) -> Trouble | None:
    """Connect, shake hands and send nothing; returns what is wrong, None where nothing is.

    In TLS 1.3 a server refuses the client's certificate only after the handshake; where the client has begun to send
    by then, the refusal may be lost with the connection.
    """
    try:
        plain = socket.create_connection((server.host, server.port), server.connect_timeout)
    except TimeoutError:
        return unreachable(server)
    except OSError as error:
        return of_exception(server, error)
    with plain:
        return None if tls is None else _shake_hands(server, tls, plain)


def _shake_hands(server: Server, tls: ssl.SSLContext, plain: socket.socket) -> Trouble | None:
    try:
        with tls.wrap_socket(plain, server_hostname=server.host) as secured:
            secured.settimeout(_SECONDS_FOR_AN_ALERT)
            secured.recv(1)
    except TimeoutError:
        return None
    except OSError as error:
        return of_exception(server, error)
    return None

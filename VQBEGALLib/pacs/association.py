"""Associations of the DICOM protocol: what is proposed, and why one does not come about."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from VQBEGALLib.errors import ServerError
from VQBEGALLib.pacs.connection import Instance
from VQBEGALLib.pacs.probe import probe
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.pacs.trouble import Trouble, of_exception
from VQBEGALLib.volumes.libraries import library

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
MOST_CONTEXTS = 128

_SECONDS_TO_END = 2.0

Context = tuple[str, str]
"""A SOP class and a transfer syntax."""


def store_contexts(instances: Sequence[Instance]) -> list[Context]:
    """Return what to propose for instances: each in its file's transfer syntax, uncompressed ones in Implicit VR too.

    C-ECHO is always among them, so that an association comes about where the server takes none of the others.
    """
    found: dict[Context, None] = {(VERIFICATION, IMPLICIT): None}
    for instance in instances:
        syntax = _transfer_syntax(instance)
        for proposed in (syntax, IMPLICIT) if syntax in (IMPLICIT, EXPLICIT) else (syntax,):
            found[instance.sop_class_uid, proposed] = None
    return list(found)[:MOST_CONTEXTS]


def associate(server: Server, tls: ssl.SSLContext | None, contexts: Sequence[Context]) -> Any:
    """Open an association; returns it, or a Trouble that says why there is none."""
    entity = library("pynetdicom").AE(ae_title=server.calling_aet)
    entity.connection_timeout = entity.acse_timeout = server.connect_timeout
    entity.dimse_timeout = entity.network_timeout = server.read_timeout
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    secured = {}
    if tls is not None:
        tls.sslsocket_class = _ClosingSocket
        secured["tls_args"] = (tls, server.host)
    try:
        association = entity.associate(_address(server), server.port, ae_title=server.aet, **secured)
    except (OSError, RuntimeError, ValueError) as error:
        return of_exception(server, error)
    if association.is_established:
        association.own_socket = association.dul.socket.socket  # which pynetdicom forgets when the peer has gone
        _tune(association.own_socket, server)
        return association
    if association.is_rejected:
        return _rejected(server, association.acceptor.primitive)
    if association.rejected_contexts and not association.accepted_contexts:
        problem = f"{server.name} takes none of these kinds of objects by C-STORE."
        return Trouble(ServerError(problem, "Send another kind, or use its DICOMweb address."))
    return probe(server, tls) or Trouble(
        ServerError(
            f"{server.name} accepts the connection and then does not answer as a DICOM server.",
            "Check the port, both application entities and whether it wants TLS.",
        )
    )


def release(association: Any) -> None:
    """End an association in peace; nothing happens where it has ended."""
    if association.is_established:
        hold_reactor(association)
        association.release()


def forget(association: Any) -> None:
    """Wait for the thread of an association that has ended, and close its socket, which pynetdicom may leave open."""
    association.join(_SECONDS_TO_END)
    association.own_socket.close()


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when it is forgotten: pynetdicom leaves a socket open whose handshake failed."""

    def __del__(self) -> None:
        self.close()


def hold_reactor(association: Any) -> None:
    """Wait until pynetdicom's own thread rests, so that the answer to the next message is left to us.

    pynetdicom takes the thread for resting a moment too early; where the processor is busy, the thread then takes the
    answer itself and drops it, and the sender waits for it until its time is over.
    """
    checkpoint = association._reactor_checkpoint
    checkpoint.clear()
    with suppress(AttributeError):  # another Python may keep its waiting threads elsewhere
        while association.is_alive() and association.is_established and not checkpoint._cond._waiters:
            time.sleep(0.0005)


def _address(server: Server) -> str:
    """Return the number of the host; pynetdicom takes names only where they lead to IPv4."""
    return str(socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)[0][4][0])


def _tune(connection: socket.socket, server: Server) -> None:
    """Send small packets at once, which saves 40 ms an instance; and do not wait for ever to be rid of a large one."""
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(server.read_timeout)


def _transfer_syntax(instance: Instance) -> str:
    try:
        return str(library("pydicom.filereader").read_file_meta_info(instance.path).TransferSyntaxUID)
    except Exception:  # a damaged file fails on its own when its turn comes
        return EXPLICIT


def _rejected(server: Server, answer: Any) -> Trouble:
    source, diagnostic = getattr(answer, "result_source", 0), getattr(answer, "diagnostic", 0)
    if (source, diagnostic) == (1, 7):
        problem, remedy = f"does not call itself {server.aet}", "Correct the application entity in its address."
    elif (source, diagnostic) == (1, 3):
        problem = f"does not know the application entity {server.calling_aet}"
        remedy = "Ask those who run the server to add it."
    elif source == 3:
        return Trouble(ServerError(f"{server.name} has too many connections.", "Try again later."), again=True)
    else:
        problem, remedy = "rejects the association", "Check both application entities."
    return Trouble(ServerError(f"{server.name} {problem}.", remedy))

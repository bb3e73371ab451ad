"""What went wrong between us and a server, in words; without addresses, which may hold a patient's number."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from VQBEGALLib.errors import ServerError
from VQBEGALLib.pacs.server import Server
from VQBEGALLib.pacs.tls import explain_tls

_ADDRESS = "Check its address; ask for the DICOMweb root."
_LATER = "Try again later, or ask those who run the server."


@dataclass(frozen=True)
class Trouble:
    """An error, whether another attempt may help, and whether the connection was cut without a word."""

    error: ServerError
    again: bool = False
    cut: bool = False


def of_exception(server: Server, error: BaseException) -> Trouble:
    """Explain what a library or the system raised while a server was asked."""
    found = list(_causes(error))
    kinds = {kind.__name__ for item in found for kind in type(item).__mro__}
    for item in found:
        if isinstance(item, ssl.SSLError) and not isinstance(item, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Trouble(explain_tls(server, item))
    if "ProxyError" in kinds:
        return Trouble(ServerError(f"The proxy does not let us through to {server.name}.", "Check the proxy."))
    if any(isinstance(item, socket.gaierror) for item in found):
        return Trouble(ServerError(f"No computer has the host name of {server.name}.", "Check address and network."))
    if any(isinstance(item, ConnectionRefusedError) for item in found):
        problem = f"{server.name} does not answer: nothing listens at its address and port."
        return Trouble(ServerError(problem, "Check that it runs, and its address."), again=True)
    if kinds & {"ConnectTimeout", "ConnectTimeoutError"}:
        return unreachable(server)
    if kinds & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return silent(server)
    if any(isinstance(item, OSError) for item in found) or kinds & {"ProtocolError", "IncompleteRead"}:
        return broken_off(server)
    return Trouble(not_understood(server))


def of_status(server: Server, status: int, body: bytes) -> Trouble:
    """Explain a status of HTTP that is no success."""
    if 300 <= status < 400:
        problem = f"{server.name} sends us to another address, where nothing was sent."
        return Trouble(ServerError(problem, "Ask for its DICOMweb root and correct its address."))
    if status == 400 and b"SSL certificate" in body[:4096]:
        return Trouble(ServerError(f"{server.name} wants a client certificate.", "Choose it with its key."))
    if status in (401, 403):
        problem = f"{server.name} does not accept the user or the password."
        return Trouble(ServerError(problem, "Check both, and that the user may do this."))
    if status in (404, 405):
        return Trouble(ServerError(f"{server.name} has no such service at its address.", _ADDRESS))
    if status == 407:
        return Trouble(ServerError(f"The proxy before {server.name} wants a password.", "Ask for a way around it."))
    if status == 501:
        return Trouble(ServerError(f"{server.name} does not offer this.", "Ask those who run the server."))
    if status >= 500:
        return Trouble(ServerError(f"{server.name} has an error of its own (status {status}).", _LATER), again=True)
    if status == 429:
        return Trouble(ServerError(f"{server.name} is too busy.", _LATER))
    return Trouble(ServerError(f"{server.name} refuses the request (status {status}).", _ADDRESS))


def unreachable(server: Server) -> Trouble:
    """Return the trouble of a connection that did not come about in time."""
    problem = f"{server.name} did not answer within {server.connect_timeout:g} s."
    return Trouble(ServerError(problem, "Check its address and the network."), again=True)


def silent(server: Server) -> Trouble:
    """Return the trouble of a server that took the question and does not answer; asking twice would not help it."""
    problem = f"{server.name} fell silent for {server.read_timeout:g} s."
    return Trouble(ServerError(problem, "Try again later, or allow it more time."))


def broken_off(server: Server) -> Trouble:
    """Return the trouble of a connection that ended too early."""
    problem = f"The connection to {server.name} broke off."
    return Trouble(ServerError(problem, "Try again, or ask those who run the server."), again=True, cut=True)


def not_understood(server: Server) -> ServerError:
    """Return the error for an answer that makes no sense, such as a page to log in at."""
    return ServerError(f"The answer of {server.name} is not one of a PACS.", _ADDRESS)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was raised from or wraps."""
    left, seen = [error], set()
    while left:
        item = left.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        wrapped = [*item.args, item.__cause__, item.__context__, getattr(item, "reason", None)]
        left += [other for other in wrapped if isinstance(other, BaseException)]

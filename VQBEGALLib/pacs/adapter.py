"""How requests makes its connections here: with our TLS context, and with patience while it sends."""

from __future__ import annotations

import ssl
from typing import Any

from VQBEGALLib.volumes.libraries import library


def make_adapter(context: ssl.SSLContext | None, seconds: float) -> Any:
    """Return an adapter of requests, for connections with and without a proxy.

    Args:
        context: for connections with TLS; None where there are none.
        seconds: that a server may take to accept more of what is sent. urllib3 would allow only the time that is
            meant for connecting.
    """
    base: Any = library("requests.adapters").HTTPAdapter
    pools = library("urllib3.connectionpool")
    classes = {
        "http": _patient(pools.HTTPConnectionPool, seconds),
        "https": _patient(pools.HTTPSConnectionPool, seconds),
    }
    options = {"ssl_context": context} if context is not None else {}

    class Adapter(base):  # type: ignore[misc]
        def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
            super().init_poolmanager(*arguments, **keywords, **options)
            self.poolmanager.pool_classes_by_scheme = classes

        def proxy_manager_for(self, proxy: str, **keywords: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **keywords, **options)
            manager.pool_classes_by_scheme = classes
            return manager

    return Adapter()


def _patient(base: Any, seconds: float) -> Any:
    """Return a pool whose connections, once made, wait ``seconds`` for each step."""

    class Connection(base.ConnectionCls):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(seconds)

    class Pool(base):  # type: ignore[misc]
        ConnectionCls = Connection

    return Pool

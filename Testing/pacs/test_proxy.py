"""Through a proxy, where it was asked for: the server's certificate is checked all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from Testing.pacs.fronts import Certificates, Listener, pump, tls_front
from Testing.pacs.orthanc import Orthanc
from Testing.pacs.support import connected, web_server
from VQBEGALLib.errors import ServerError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A proxy that the environment names; holds what it was asked for."""
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        requests.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pump(connection, server)

    proxy = Listener(serve)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "")
    yield requests
    proxy.close()


def test_the_proxy_is_used_only_where_asked_for_and_trust_stays_ours(
    orthanc: Orthanc, certificates: Certificates, asked: list[bytes]
):
    certificate, key = map(str, certificates.client)
    files = {"ca_file": str(certificates.ca_file), "cert_file": certificate, "key_file": key}
    with tls_front(orthanc.http_port, certificates.good, client_ca=certificates.ca_file) as port:
        url = f"https://localhost:{port}/dicom-web"
        with connected(web_server(url, **files)) as pacs:
            pacs.test()
        assert asked == []
        with connected(web_server(url, **files, proxies=True)) as pacs:
            pacs.test()
        assert asked[0].startswith(f"CONNECT localhost:{port} ".encode())
        assert b"authorization" not in asked[0].lower()
        stranger = {**files, "ca_file": str(certificates.stranger[0])}
        with connected(web_server(url, **stranger, proxies=True)) as pacs, pytest.raises(ServerError) as error:
            pacs.test()
    assert "an authority that this computer does not know" in error.value.problem

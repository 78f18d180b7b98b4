import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import connect

from broadcaster import ConfigurationError
from broadcaster.server import Proxies, Server, Tls
from tests.server.clients import APP, SECONDS


def write_pair(authority: trustme.CA, folder: Path) -> tuple[Path, Path]:
    """Write a new certificate and its key over those that were there."""
    issued = authority.issue_cert("127.0.0.1")
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return cert, key


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def serial_of(server: Server, authority: trustme.CA) -> str:
    """Connect, talk, and return the number of the certificate that the server showed."""
    url = f"wss://127.0.0.1:{server.port}/app/{APP.key}?protocol=7"
    # The closing handshake within the time, too: it is the server that ends the connection.
    async with asyncio.timeout(SECONDS), connect(url, ssl=trusting(authority)) as browser:
        assert "connection_established" in str(await browser.recv())
        await browser.send('{"event":"pusher:ping","data":{}}')
        assert "pong" in str(await browser.recv())
        return str(browser.transport.get_extra_info("peercert")["serialNumber"])


async def test_a_server_with_a_certificate_speaks_tls_and_shows_a_new_one_when_it_is_reloaded(
    authority: trustme.CA, tmp_path: Path
) -> None:
    cert, key = write_pair(authority, tmp_path)
    async with Server([APP], port=0, tls=Tls(cert, key)) as server:
        before = await serial_of(server, authority)
        write_pair(authority, tmp_path)
        assert await server.reload()
        after = await serial_of(server, authority)

        assert server.url == f"https://127.0.0.1:{server.port}"
    assert before != after


async def test_a_certificate_that_cannot_be_used_leaves_the_one_that_is_there(
    authority: trustme.CA, tmp_path: Path
) -> None:
    cert, key = write_pair(authority, tmp_path)
    async with Server([APP], port=0, tls=Tls(cert, key)) as server:
        before = await serial_of(server, authority)
        key.write_bytes(trustme.CA().issue_cert("a.test").private_key_pem.bytes())
        assert not await server.reload()

        assert await serial_of(server, authority) == before


async def test_who_speaks_no_tls_gets_nothing_and_the_server_lives(
    authority: trustme.CA, tmp_path: Path
) -> None:
    cert, key = write_pair(authority, tmp_path)
    async with Server([APP], port=0, tls=Tls(cert, key)) as server, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" not in await reader.read()
        writer.close()

        assert await serial_of(server, authority)


def test_one_file_may_hold_both(authority: trustme.CA, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes())

    assert Tls(both).context.cert_store_stats() is not None


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_files_that_are_none_are_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"no certificate can be used from .*cert\.pem"):
        Tls(file)


def test_the_proxy_that_tells_its_clients_does_tls_itself(authority: trustme.CA, tmp_path: Path) -> None:
    cert, key = write_pair(authority, tmp_path)

    with pytest.raises(ConfigurationError, match="PROXY protocol"):
        Server([APP], tls=Tls(cert, key), proxies=Proxies(protocol=True))

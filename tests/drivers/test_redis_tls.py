"""The Redis driver against a real server that speaks TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from broadcaster import DeliveryError, Message
from broadcaster.drivers.redis import RedisDriver
from broadcaster.testing.contracts.drivers import RemoteDriverContract, Verb
from tests.drivers.proxy import Proxy
from tests.drivers.redis_peers import RedisPeer
from tests.drivers.redis_servers import PASSWORD, TlsServer

Make = Callable[..., RedisDriver]
PING = Message("ping", ("lobby",), "{}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with TlsServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def server_peer(server: TlsServer) -> Iterator[RedisPeer]:
    with Proxy(server.tls_port) as proxy:
        peer = RedisPeer([server], [proxy], port=proxy.port, tls=True, ca_file=server.ca_file)
        yield peer
        peer.close()


class TestRedisDriverOverTls(RemoteDriverContract):
    @pytest.fixture
    def peer(self, server_peer: RedisPeer) -> RedisPeer:
        return server_peer

    def test_a_certificate_of_somebody_else_is_no_matter_of_time(
        self, make: Make, verb: Verb, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        driver = make(ca_file=str(other))

        with pytest.raises(DeliveryError, match="its authority goes into ca_file") as caught:
            verb.deliver(driver, PING)

        assert not caught.value.retryable

    def test_a_certificate_for_another_name_is_no_matter_of_time(self, make: Make, verb: Verb) -> None:
        driver = make(host="localhost")

        with pytest.raises(DeliveryError, match="Hostname mismatch") as caught:
            verb.deliver(driver, PING)

        assert not caught.value.retryable

    def test_a_driver_without_tls_is_an_error(self, make: Make, verb: Verb) -> None:
        driver = make(tls=None, ca_file=None, retries=0)

        with pytest.raises(DeliveryError):
            verb.deliver(driver, PING)

    def test_tls_where_there_is_none_is_an_error(self, server: TlsServer, make: Make, verb: Verb) -> None:
        driver = make(port=server.port, timeout=0.3, retries=0)

        with pytest.raises(DeliveryError, match="no connection to"):
            verb.deliver(driver, PING)


def test_a_url_may_ask_for_tls(server: TlsServer) -> None:
    url = f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.tls_port}/0"
    driver = RedisDriver(url=url, ca_file=server.ca_file)

    driver.deliver(PING)

    driver.close()

import pytest

from broadcaster import ConfigurationError
from broadcaster.server.proxies import Proxies

PROXIES = Proxies(["10.0.0.0/8", "192.0.2.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        ("192.0.2.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:DB8::7]:4711"], "2001:db8::7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["," * 100_000], "10.0.0.1"),
        ("203.0.113.7", ["6.6.6.6"], "203.0.113.7"),
        ("", ["6.6.6.6"], ""),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_is(peer: str, headers: list[str], client: str) -> None:
    assert PROXIES.client_of(peer, [("X-Forwarded-For", value) for value in headers]) == client


def test_unless_a_proxy_is_trusted_nobody_is_believed() -> None:
    assert Proxies().client_of("10.0.0.1", [("x-forwarded-for", "6.6.6.6")]) == "10.0.0.1"


@pytest.mark.parametrize("text", ["", "proxy.example.com", "10.0.0.1/8", "10.0.0.0/99"])
def test_what_is_no_address_and_no_network_is_told(text: str) -> None:
    with pytest.raises(ConfigurationError, match="addresses or networks"):
        Proxies([text])

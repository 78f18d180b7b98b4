from __future__ import annotations

import pytest

from broadcaster import ConfigurationError
from broadcaster.cluster.redis_url import Address, Nodes, One, Watched, read_url, secrets_in


def test_any_other_url_is_that_of_one_server() -> None:
    assert read_url("redis://:hush@cache:6379/3") == One("redis://:hush@cache:6379/3")


def test_sentinels_are_read_with_the_name_of_the_master() -> None:
    read = read_url("redis+sentinel://app:hu%40sh@one:26380,two,[::1]/shop?db=2&sentinel_password=a%2Bb")

    assert read == Watched(
        "redis://app:hu%40sh@any?db=2",
        "redis://:a%2Bb@any?",
        (Address("one", 26380), Address("two", 26379), Address("::1", 26379)),
        "shop",
    )


def test_with_tls_it_is_spoken_with_the_sentinels_too() -> None:
    read = read_url("rediss+sentinel://one/shop?ssl_ca_certs=/etc/ca.pem")

    assert isinstance(read, Watched)
    assert read.url == read.sentinel_url == "rediss://@any?ssl_ca_certs=%2Fetc%2Fca.pem"


def test_the_nodes_of_a_cluster_are_read() -> None:
    read = read_url("rediss+cluster://:hush@one:7000,two")

    assert read == Nodes("rediss://:hush@any?", (Address("one", 7000), Address("two", 6379)))


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinels://:hush@one/shop",
        "redis+sentinel://:hush@/shop",
        "redis+sentinel://:hush@one",
        "redis+sentinel://:hush@one/shop/2",
        "redis+sentinel://:hush@one,,two/shop",
        "redis+sentinel://:hush@one:port/shop",
        "redis+cluster://:hush@",
        "redis+cluster://:hush@one:99999",
        "redis+cluster://:hush@one/2",
        "redis+cluster://:hush@one?db=1",
        "redis+cluster://:hu/sh@one",
        "redis+cluster://:hu@sh@one",
        "http+cluster://:hush@one",
    ],
)
def test_an_address_that_is_none_is_refused_without_what_it_says(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis\+sentinel://|no databases") as refused:
        read_url(url)

    assert "hu" not in str(refused.value).replace("cluster", "")
    assert "one" not in str(refused.value)


def test_what_a_log_may_not_show_is_found_in_every_form() -> None:
    assert set(secrets_in("redis+sentinel://:hu%40sh@one,two/shop?sentinel_password=a%2Bb")) == {
        "hu%40sh",
        "hu@sh",
        "a+b",
    }
    assert secrets_in("redis://[") == []

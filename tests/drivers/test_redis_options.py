"""Which Redis the options of the driver mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from broadcaster import BroadcastManager, ConfigurationError
from broadcaster.drivers._redis_flow import Node, Role
from broadcaster.drivers._redis_options import login_of, servers_of, settled
from broadcaster.drivers.redis import RedisDriver

SECRET = "s3cret#word"
SENTINELS = {"sentinels": ["s1", "s2:26380"], "sentinel_service": "shop"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "x:6379"}, "'host' is 'x:6379'; the port has an option of its own, 'port'"),
        ({"url": "redis://x", "nodes": ["y"]}, "'url' takes the place of 'nodes'; give one or the other"),
        ({"url": "redis://x", **SENTINELS}, "'url' takes the place of 'sentinels'"),
        ({"nodes": ["x"], **SENTINELS}, "'nodes' takes the place of 'sentinels'"),
        ({"nodes": ["x"], "host": "y"}, "'nodes' takes the place of 'host'"),
        ({"nodes": ["x"], "db": 1}, "'db' cannot be chosen in a cluster; leave it out"),
        ({"host": "x", **SENTINELS}, "'sentinels' takes the place of 'host'"),
        ({"sentinels": ["x"]}, "'sentinels' means nothing without 'sentinel_service'; give both or neither"),
        ({"sentinel_service": "x"}, "'sentinel_service' means nothing without 'sentinels'"),
        ({"sentinel_password": SECRET}, "'sentinel_password' means nothing without 'sentinels'"),
        ({"username": "ann"}, "'username' means nothing without 'password'"),
        ({"sharded": True}, "'sharded' is for a cluster; name some of its nodes with 'nodes'"),
        ({"ca_file": "x"}, "'ca_file' means nothing without TLS"),
        ({"url": "redis://x", "ca_file": "x"}, "'ca_file' means nothing without TLS"),
        ({"tls": True, "ca_file": "/nowhere.pem"}, "'ca_file' '/nowhere.pem' holds no certificates"),
        ({"tls": True, "ca_file": __file__}, "test_redis_options.py' holds no certificates"),
        ({"nodes": ["x:y"]}, "'nodes' has 'x:y'; expected host:port"),
        ({"nodes": ["x:99999"]}, "'nodes' has 'x:99999'; expected host:port"),
        ({"nodes": ["redis://x:1"]}, "'nodes' has 'redis://x:1'; expected host:port"),
        ({"nodes": [f"redis://:{SECRET}@x:1"]}, "'nodes' has 'x:1'; expected host:port"),
        ({"nodes": [":6379"]}, "'nodes' has ':6379'; expected host:port"),
        ({"nodes": ["[::1:6379"]}, "expected host:port"),
        ({"sentinels": ["x/y"], "sentinel_service": "shop"}, "'sentinels' has 'x/y'; expected host:port"),
        ({"url": "redis://x?db=1&socket_timeout=9"}, "not known here: 'socket_timeout'; known: 'db'"),
        ({"url": "redis://ann@x"}, "written redis://:password@host"),
    ],
)  # fmt: skip
def test_a_contradiction_is_told_with_what_would_help(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisDriver(**options)

    assert str(caught.value).startswith("driver 'redis': ")
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@x",
        f":{SECRET}@x",
        f"redis://:{SECRET}@x",
        "redis://:s3cret@x:1x",
        "redis://:s3cret@x/one",
        "redis://:s3cret@x/-1",
        "redis://:s3cret@x?db=one",
        "redis://:s3cret@[x",
        "unix:///s3cret.sock",
        "",
    ],
)
def test_a_url_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://user:password@host:port/db") as caught:
        RedisDriver(url=url)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, {"host": "127.0.0.1", "port": 6379, "username": None, "password": None, "db": 0}),
        ({"host": "h", "port": 1, "username": "u", "password": "p", "db": 2}, {
            "host": "h", "port": 1, "username": "u", "password": "p", "db": 2}),
        ({"url": "redis://h"}, {"host": "h", "port": 6379, "username": None, "password": None, "db": 0}),
        ({"url": "redis://u%40:p%2F@h:1/2"}, {
            "host": "h", "port": 1, "username": "u@", "password": "p/", "db": 2}),
        ({"url": "redis://:p@[::1]?db=3"}, {
            "host": "::1", "port": 6379, "username": None, "password": "p", "db": 3}),
        ({"url": "redis:///4"}, {"host": "127.0.0.1", "port": 6379, "username": None, "db": 4}),
    ],
)  # fmt: skip
def test_a_url_says_what_the_options_say(options: dict[str, Any], told: dict[str, Any]) -> None:
    given = settled(options)

    node = first_asked(given)
    arguments = login_of(given, connect_timeout=1, read_timeout=2).arguments(node)

    assert told.items() <= arguments.items()
    assert "ssl_ca_certs" not in arguments


def test_a_url_for_tls_trusts_the_system() -> None:
    given = settled({"url": "rediss://h"})

    login = login_of(given, connect_timeout=1, read_timeout=2)

    assert login.tls
    assert login.arguments(Node("h", 1))["ssl_ca_certs"] is None


def test_sentinels_are_asked_with_their_own_password() -> None:
    given = settled({**SENTINELS, "password": "p", "username": "u", "sentinel_password": "q", "db": 3})
    login = login_of(given, connect_timeout=1, read_timeout=2)

    sentinel = first_asked(given)
    asking, telling = login.arguments(sentinel), login.arguments(Node("m", 6379, Role.MASTER))

    assert sentinel == Node("s1", 26379, Role.SENTINEL)
    assert (asking["password"], asking.get("username"), asking.get("db")) == ("q", None, None)
    assert (telling["password"], telling["username"], telling["db"]) == ("p", "u", 3)


def test_a_login_shows_no_password() -> None:
    login = login_of(
        settled({**SENTINELS, "password": SECRET, "sentinel_password": SECRET}),
        connect_timeout=1,
        read_timeout=2,
    )

    assert SECRET not in repr(login)


def test_every_variable_reaches_the_driver(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(
        "BROADCAST_DRIVER=redis\nREDIS_CLUSTER_NODES=a:1, b\nREDIS_SHARDED=false\nREDIS_PREFIX=p-\n"
        "REDIS_MESSAGE_IDS=1\nREDIS_USERNAME=u\nREDIS_PASSWORD=p\nREDIS_TLS=yes\nREDIS_CONNECT_TIMEOUT=1\n"
        "REDIS_READ_TIMEOUT=2\nREDIS_RETRIES=0\n",
        "utf-8",
    )

    driver = BroadcastManager.from_env(env).driver()

    assert isinstance(driver, RedisDriver)


def first_asked(given: Mapping[str, Any]) -> Node:
    step = next(servers_of(given).publish([(b"lobby", b"{}")]))
    assert isinstance(step, Mapping)
    (node,) = step
    return node


def test_an_address_is_shown_as_it_is_written() -> None:
    assert [str(Node("::1", 1)), str(Node("h", 2))] == ["[::1]:1", "h:2"]


def test_a_url_goes_before_the_options_that_platforms_set_beside_it() -> None:
    given = settled(
        {
            "url": "rediss://ann:from-url@cache:6380/2",
            "host": "elsewhere",
            "port": 1,
            "username": "bob",
            "password": SECRET,
            "db": 0,
            "tls": False,
        }
    )

    assert given == {
        "host": "cache",
        "port": 6380,
        "username": "ann",
        "password": "from-url",
        "db": 2,
        "tls": True,
    }


def test_what_a_url_leaves_out_is_taken_from_the_options() -> None:
    given = settled({"url": "redis://cache", "port": 6380, "password": SECRET})

    assert given == {"host": "cache", "port": 6380, "password": SECRET, "db": 0, "tls": False}

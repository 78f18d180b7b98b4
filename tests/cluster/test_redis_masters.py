"""Links to the master that real sentinels name, whatever some of them say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from broadcaster.cluster._redis_link import Link, Links
from tests.drivers.redis_servers import PASSWORD, RedisServer, Sentinel, Watched
from tests.waits import auntil

from .contract import SECONDS

SECRET = quote(PASSWORD, safe="")
Watch = Callable[..., Sentinel]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Run one more sentinel, which takes a server for the master; nothing but that is wrong with it."""
    with ExitStack() as running:

        def start(server: RedisServer, **options: str) -> Sentinel:
            (folder := tmp_path / str(server.port)).mkdir(exist_ok=True)
            return running.enter_context(Sentinel(folder, server, **options))

        yield start


def link_to(*sentinels: Sentinel, service: str = "shop", more: str = "") -> Link:
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    url = f"redis+sentinel://:{SECRET}@{hosts}/{service}?{more}"
    return Links(url, seconds=1.0).link("key")


async def port_of(link: Link) -> int:
    await link.open()
    try:
        await link.send(("CONFIG", "GET", "port"))
        return int((await link.read())[1])
    finally:
        await link.close()


async def test_a_sentinel_that_names_a_replica_is_not_believed(shop: Watched, watch: Watch) -> None:
    assert await port_of(link_to(watch(shop.replica), shop.sentinel)) == shop.master.port


async def test_of_two_masters_most_sentinels_name_the_right_one(
    shop: Watched, watch: Watch, tmp_path: Path
) -> None:
    with RedisServer(tmp_path) as stranger:
        sentinels = (watch(stranger), shop.sentinel, watch(shop.master))

        assert await port_of(link_to(*sentinels)) == shop.master.port


async def test_sentinels_that_are_gone_are_passed_over(shop: Watched, watch: Watch) -> None:
    gone, silent = watch(shop.master), watch(shop.replica)
    gone.stop()
    silent.freeze()

    assert await port_of(link_to(gone, silent, shop.sentinel)) == shop.master.port


async def test_only_a_sentinel_that_is_mistaken_is_an_error(shop: Watched, watch: Watch) -> None:
    with pytest.raises(OSError, match="it is a replica, and not the master any more"):
        await port_of(link_to(watch(shop.replica)))


async def test_a_master_that_no_sentinel_knows_is_told_by_its_name(shop: Watched) -> None:
    with pytest.raises(OSError, match="no sentinel knows the master 'stock'"):
        await port_of(link_to(shop.sentinel, service="stock"))


async def test_a_sentinel_may_want_a_password_of_its_own(shop: Watched, watch: Watch) -> None:
    strict = watch(shop.master, password="hush-hush")

    assert await port_of(link_to(strict, more="sentinel_password=hush-hush")) == shop.master.port
    with pytest.raises(OSError, match=r"(?i)auth"):
        await port_of(link_to(strict))


async def test_links_to_one_server_share_who_looks_after_it(redis_alone: RedisServer) -> None:
    client = redis_alone.client()
    links = Links(redis_alone.url(), seconds=1.0)
    several = [links.link("key") for _ in range(3)]

    for link in several:
        await link.open()
    await auntil(lambda: len(client.client_list()) == 1 + 3 + 1)
    for link in several:
        await link.close()

    await auntil(lambda: len(client.client_list()) == 1)


async def test_whoever_connects_after_a_break_hears_nothing_of_it(redis_alone: RedisServer) -> None:
    client = redis_alone.client()
    links = Links(redis_alone.url(), seconds=1.0)
    broken, other, new = (links.link("key") for _ in range(3))
    await broken.open()
    await other.open()
    await auntil(lambda: len(client.client_list()) == 1 + 2 + 1)
    kept = {client.client_id(), await ask(other, "CLIENT", "ID")}
    for one in client.client_list():
        if int(one["id"]) not in kept:
            client.client_kill_filter(_id=one["id"])

    with pytest.raises(OSError, match=r"\w"):
        await broken.read()
    await broken.close()
    await new.open()
    with pytest.raises(OSError, match=r"\w"):
        await be_told(other)

    assert await ask(new, "PING") == b"PONG"
    for link in (other, new):
        await link.close()


async def be_told(link: Link) -> None:
    """Wait until whoever looks after *link* finds out that something is wrong."""
    async with asyncio.timeout(SECONDS):
        while True:
            await ask(link, "PING")


async def ask(link: Link, *command: str) -> Any:
    await link.send(command)
    return await link.read()


@pytest.fixture
def redis_alone(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server

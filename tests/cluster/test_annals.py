from __future__ import annotations

from typing import Any

import pytest

from broadcaster.cluster._annals import Annals, read_recalled
from broadcaster.cluster.journal import Entry, Keeping
from tests.drivers.redis_servers import RedisServer

KEEPING = Keeping(events=2, seconds=60, window=60)


@pytest.fixture
def admin(redis: RedisServer) -> Any:
    client = redis.client()
    client.flushall()
    for command in Annals("", is_sharded=False).load():
        client.execute_command(*command)
    return client


def test_an_id_is_not_made_again_when_everything_is_lost_at_once(admin: Any) -> None:
    annals, pipeline = Annals("shop-", is_sharded=False), admin.pipeline(transaction=False)
    for number in range(100):
        pipeline.flushall()
        pipeline.execute_command(*annals.record("orders", b"{}", str(number), KEEPING))

    ids = pipeline.execute()[1::2]

    assert len(set(ids)) == 100


def test_what_was_recorded_is_read_with_the_ids_before_it(admin: Any) -> None:
    annals = Annals("shop-", is_sharded=False)
    ids = [admin.execute_command(*annals.record("orders", b"%d" % n, str(n), KEEPING)) for n in range(3)]
    first, second, third = (entry_id.decode() for entry_id in ids)

    def recalled(last_id: str) -> tuple[str, list[Entry] | None]:
        answer = admin.execute_command(*annals.recall("orders", last_id, KEEPING))
        return read_recalled(answer, after=last_id)

    assert recalled(first) == (third, [Entry(second, first, b"1"), Entry(third, second, b"2")])
    assert recalled(third) == (third, [])
    assert recalled("1-0") == recalled("") == (third, None)


@pytest.mark.parametrize("prefix", ["", "shop-", "{shop}-", "a{b}c{d}", "{"])
def test_all_of_a_topic_is_in_the_slot_of_its_channel(prefix: str) -> None:
    _, _, _, *rest = Annals(prefix, is_sharded=False).record("9:presence-a", b"{}", "{name}", KEEPING)
    keys, channel = [str(key) for key in rest[:3]], str(rest[5])

    assert channel == f"{prefix}9:presence-a"
    assert {tag_of(key) for key in keys} == {tag_of(channel)}


def tag_of(key: str) -> str:
    """Return what of a key tells its slot, as the specification of Redis Cluster has it."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else key

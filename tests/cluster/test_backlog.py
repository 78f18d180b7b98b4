from __future__ import annotations

from broadcaster.cluster._backlog import Backlog
from broadcaster.cluster._voice import Said


async def test_whoever_waits_does_so_for_what_was_there_and_not_for_what_came_since() -> None:
    backlog: Backlog[Said] = Backlog()
    for topic in ("orders", "news"):
        backlog.add(Said(topic, b"1"))
    emptied = backlog.emptied()
    backlog.add(Said("orders", b"2"))

    backlog.drop()
    assert not emptied.done()
    backlog.drop()

    assert emptied.done()


async def test_whoever_waits_does_so_for_what_is_left_when_some_goes_elsewhere() -> None:
    backlog: Backlog[Said] = Backlog()
    for topic in ("news", "orders", "news"):
        backlog.add(Said(topic, b"1"))
    emptied = backlog.emptied()

    assert backlog.take(lambda topic: topic == "news") == [("news", b"1")] * 2

    assert (backlog.size, backlog.topics, emptied.done()) == (1, {"orders"}, False)
    backlog.drop()
    assert emptied.done()


async def test_nobody_waits_for_what_has_gone_elsewhere() -> None:
    backlog: Backlog[Said] = Backlog()
    backlog.add(Said("news", b"1"))
    emptied = backlog.emptied()

    backlog.take(lambda topic: True)

    assert emptied.done()

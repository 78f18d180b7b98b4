from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster import ConfigurationError
from broadcaster.server.webhook_buffer import Waiting, WebhookBuffer


def events(lane: str, *names: str) -> list[Waiting]:
    return [Waiting(lane, 1.5, name) for name in names]


@pytest.mark.parametrize("durable", [True, False])
async def test_a_lane_is_read_in_order_and_in_pieces(tmp_path: Path, durable: bool) -> None:
    buffer = WebhookBuffer(tmp_path / "hooks.db" if durable else None)
    await buffer.add([*events("a", "1", "2"), *events("b", "x"), *events("a", "3")])

    first = await buffer.first("a", 2)
    await buffer.remove(first)
    rest = await buffer.first("a", 2)

    assert [one.event for one in first] == ["1", "2"]
    assert [(one.event, one.lane, one.since) for one in rest] == [("3", "a", 1.5)]
    assert buffer.counts() == {"a": 1, "b": 1}
    await buffer.aclose()


async def test_a_file_is_found_again_by_the_next_server(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    buffer = WebhookBuffer(path)
    await buffer.add(events("a", "1", "2"))
    await buffer.aclose()

    again = WebhookBuffer(path)

    assert again.counts() == {"a": 2}
    assert [one.event for one in await again.first("a", 9)] == ["1", "2"]
    await again.aclose()


async def test_two_servers_cannot_send_the_same_events(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    buffer = WebhookBuffer(path)

    with pytest.raises(ConfigurationError, match=r"cannot keep webhooks in .*another server uses it"):
        WebhookBuffer(path)
    await buffer.aclose()


@pytest.mark.parametrize("name", ["missing/hooks.db", "."])
def test_a_file_that_cannot_be_had_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot keep webhooks in .*unable to open database file"):
        WebhookBuffer(tmp_path / name)


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    path.write_text("these are my notes\n" * 100)

    with pytest.raises(ConfigurationError, match="file is not a database"):
        WebhookBuffer(path)

    assert path.read_text().startswith("these are my notes")


async def test_lanes_that_nobody_serves_any_more_are_forgotten() -> None:
    buffer = WebhookBuffer(None)
    await buffer.add([*events("a", "1"), *events("b", "2")])

    await buffer.keep(["b", "c"])

    assert buffer.counts() == {"b": 1}
    await buffer.aclose()

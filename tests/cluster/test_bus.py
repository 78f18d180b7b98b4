from __future__ import annotations

import pytest

from broadcaster.cluster.bus import Bus, Heard, LocalBus
from tests.cluster.contract import BusContract


class TestLocalBus(BusContract):
    @pytest.fixture(autouse=True)
    def _together(self) -> None:
        self.topics: dict[str, dict[LocalBus, Heard]] = {}

    def bus(self) -> Bus:
        return LocalBus(self.topics)


async def test_without_others_it_talks_to_nobody() -> None:
    heard: list[bytes] = []
    one, other = LocalBus(), LocalBus()
    for bus in (one, other):
        bus.open(lambda _, payload: heard.append(payload), lambda: None)
        bus.subscribe("orders", lambda: None)

    one.publish("orders", b"unheard")

    assert heard == []

"""What every engine keeps that holds back by itself what is to be tried again: an outage of an hour."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

from broadcaster.queues.outcomes import Verdict
from broadcaster.queues.retries import retry
from tests.queues.contract import Drivers, away, envelope
from tests.queues.workers import work

__all__ = ["PatienceContract"]


class PatienceContract(ABC):
    """Mix it into a `QueueContract`."""

    @abstractmethod
    def due(self) -> float:
        """Return when the one that waits is due, as the engine has it."""

    def test_a_peer_that_is_gone_for_an_hour_is_tried_ever_less_and_gets_all_in_the_end(
        self, made: Any, drivers: Drivers
    ) -> None:
        backoff = (60.0, 600.0, 3_000.0)
        drivers.scripted.errors += [away()] * 4
        made.push([envelope(tries=4, backoff=backoff)])
        pauses: list[float] = []

        for _ in backoff:
            [tried] = work(made, max_jobs=1)
            pauses.append(self.due() - time.time())
            assert tried.again is not None
            # As if the time had come.
            made.clear("default")
            made.push([tried.again])
        [last] = work(made)

        assert last.verdict is Verdict.FAILED
        for pause, wanted in zip(pauses, backoff, strict=True):
            assert 0.8 * wanted - 20 < pause < 1.2 * wanted + 1
        assert [failed.reason for failed in made.failed.list()] == ["driver 'scripted': the peer is away"]
        assert retry(made, made.failed.list()) == []
        work(made)
        assert drivers.scripted.ids == ["message-1"]
        assert made.failed.count() == 0

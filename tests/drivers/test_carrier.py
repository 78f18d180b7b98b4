from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from broadcaster.drivers._carrier import Carrier, seconds_to_wait
from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, Pause, Unreachable

REQUEST = HttpRequest("POST", "/messages")


class Echo(Carrier):
    """Answers with what it was made with."""

    def __init__(self, *answers: HttpResponse | Unreachable) -> None:
        self.sent: list[HttpRequest] = []
        self._answers = list(answers)

    def close(self) -> None: ...

    async def aclose(self) -> None: ...

    def _send(self, request: HttpRequest) -> HttpResponse | Unreachable:
        self.sent.append(request)
        return self._answers.pop(0)

    async def _asend(self, request: HttpRequest) -> HttpResponse | Unreachable:
        return self._send(request)


@pytest.mark.parametrize("run", [lambda c, f: c.run(f), lambda c, f: asyncio.run(c.arun(f))])
def test_a_flow_gets_the_outcome_of_each_request_and_nothing_for_a_pause(run: Any) -> None:
    lost, taken = Unreachable("no answer", received=True), HttpResponse(201)
    outcomes: list[object] = []

    def flow() -> Attempts:
        outcomes.append((yield REQUEST))
        outcomes.append((yield Pause(0.05)))
        outcomes.append((yield REQUEST))
        return taken

    carrier = Echo(lost, taken)
    began = time.monotonic()
    answer = run(carrier, flow())

    assert answer is taken
    assert outcomes == [lost, None, taken]
    assert carrier.sent == [REQUEST, REQUEST]
    assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("0", 0), (" 7 ", 7), ("soon", None), ("-1", None), ("", None)]
)
def test_a_peer_asks_for_seconds(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header) == seconds


def test_a_peer_asks_for_time_until_a_date() -> None:
    now = datetime.now(UTC)

    assert 50 < (seconds_to_wait(format_datetime(now + timedelta(minutes=1), usegmt=True)) or 0) <= 60
    assert seconds_to_wait(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0

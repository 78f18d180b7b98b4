import asyncio
import logging
from collections.abc import Awaitable

import pytest

from broadcaster.protocol.api import ApiRequest, ApiResponse
from broadcaster.server.turns import Turn, Turns


class Desk:
    """Answers at once, but *slow* paths when they are *ready*; what is *written* is kept."""

    def __init__(self, *slow: str) -> None:
        self.ready = {path: asyncio.Event() for path in slow}
        self.written: list[str] = []
        self.waits_ended = 0
        self.turns = Turns(self._answer, write=self._write, done=self._done)

    def ask(self, *paths: str) -> None:
        for path in paths:
            self.turns.take(Turn(ApiRequest("GET", path), keep_alive=True))

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(10):
            await asyncio.sleep(0)

    def _answer(self, request: ApiRequest) -> ApiResponse | Awaitable[ApiResponse]:
        if request.path == "/broken":
            raise ZeroDivisionError
        return self._later(request) if request.path in self.ready else ApiResponse(200, request.path)

    async def _later(self, request: ApiRequest) -> ApiResponse:
        await self.ready[request.path].wait()
        if request.path == "/breaks":
            raise ZeroDivisionError
        return ApiResponse(200, request.path)

    def _write(self, _: Turn, response: ApiResponse) -> None:
        self.written.append(response.body if response.status == 200 else str(response.status))

    def _done(self) -> None:
        self.waits_ended += 1


async def test_what_needs_no_waiting_is_answered_at_once() -> None:
    desk = Desk()

    desk.ask("/a", "/b")

    assert desk.written == ["/a", "/b"]
    assert not desk.turns.is_waiting


async def test_later_requests_are_answered_after_the_one_that_is_waited_for() -> None:
    desk = Desk("/slow", "/slower")

    desk.ask("/a", "/slow", "/b", "/slower", "/c")
    desk.ready["/slower"].set()
    await desk.settle()
    before = list(desk.written)
    desk.ready["/slow"].set()
    await desk.settle()

    assert before == ["/a"]
    assert desk.written == ["/a", "/slow", "/b", "/slower", "/c"]
    assert (desk.turns.is_waiting, desk.waits_ended) == (False, 1)


@pytest.mark.parametrize("path", ["/broken", "/breaks"])
async def test_what_breaks_is_answered_with_500_and_logged(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk("/breaks")
    desk.ready["/breaks"].set()

    with caplog.at_level(logging.ERROR):
        desk.ask(path, "/after")
        await desk.settle()

    assert desk.written == ["500", "/after"]
    assert f"GET '{path}'" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_nothing_is_written_to_whoever_has_left() -> None:
    desk = Desk("/slow")

    desk.ask("/slow", "/after")
    desk.turns.close()
    desk.ready["/slow"].set()
    await desk.settle()

    assert desk.written == []

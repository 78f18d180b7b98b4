"""Where plain HTTP requests go: health checks, files, and the HTTP API of each application."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence

from broadcaster.protocol.api import ApiRequest, ApiResponse, Inquiry, answer
from broadcaster.protocol.api_routes import find_route
from broadcaster.protocol.census import Census, Question, take_census
from broadcaster.protocol.hub import Hub
from broadcaster.server.assets import asset
from broadcaster.server.inquiries import inquire
from broadcaster.server.node import HEALTH, Node
from broadcaster.server.requests import Taken

__all__ = ["Routes"]

_logger = logging.getLogger("broadcaster.server")


class Routes:
    """Answers for *node*."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def answer(self, request: ApiRequest) -> ApiResponse | Awaitable[ApiResponse]:
        """Answer *request*, and do what it asks for; the answer is awaited where other nodes are asked."""
        with self._node.requests.taken(request) as taken:
            answered = self._answer(request)
            if not isinstance(answered, ApiResponse):
                return _wait(request, answered, taken.go_on())
            _note(request, answered, taken)
            return answered

    def _answer(self, request: ApiRequest) -> ApiResponse | Awaitable[ApiResponse]:
        if (route := find_route(request.path)) is not None:
            return self._call(route.app_id, request)
        if request.path in HEALTH:
            return self._node.health(request.path)
        if (file := asset(request)) is not None:
            return file
        if request.path.startswith("/app/"):
            return ApiResponse(426, "this is the WebSocket address: connect with a Pusher client")
        return ApiResponse(404, "no such route")

    def _call(self, app_id: str, request: ApiRequest) -> ApiResponse | Awaitable[ApiResponse]:
        """Answer a call of the HTTP API."""
        hub = self._node.hubs.get(app_id)
        if hub is None:
            return ApiResponse(404, f"no application has the id {app_id[:100]!r}")
        if not hub.app.enabled:
            return ApiResponse(403, "the application is disabled")
        answered = answer(hub, request, now=time.time())
        self._node.perform(hub, answered.effects)
        told = self._told() if answered.effects else ()
        if isinstance(answered, Inquiry):
            return self._ask(hub, answered, told)
        return _after(told, answered) if told else answered

    def _told(self) -> Sequence[Awaitable[None]]:
        """Return what to await so that what is sent next, to whatever node, comes after what was sent now."""
        return () if (peers := self._node.peers) is None else peers.told()

    async def _ask(self, hub: Hub, inquiry: Inquiry, told: Sequence[Awaitable[None]]) -> ApiResponse:
        await asyncio.gather(*told)
        try:
            return inquiry.answer(await self._census(hub, inquiry.question))
        except OSError:
            if inquiry.effects:
                # Whoever repeated it would send the event again.
                return inquiry.answer(take_census(hub, inquiry.question))
            return ApiResponse(503, "other nodes cannot be asked now, since Redis does not answer: try again")

    async def _census(self, hub: Hub, question: Question) -> Census:
        if (peers := self._node.peers) is None:
            return take_census(hub, question)
        return await inquire(peers.roster, hub.app.id, question)


async def _after(told: Sequence[Awaitable[None]], response: ApiResponse) -> ApiResponse:
    await asyncio.gather(*told)
    return response


async def _wait(request: ApiRequest, answer: Awaitable[ApiResponse], taken: Taken) -> ApiResponse:
    with taken:
        response = await answer
        _note(request, response, taken)
        return response


def _note(request: ApiRequest, response: ApiResponse, taken: Taken) -> None:
    taken.status = response.status
    if response.status >= 400:
        _logger.info(
            "%s %r refused with %d: %s",
            request.method,
            request.path[:200],
            response.status,
            response.body,
            extra={"method": taken.method, "route": taken.route, "status": response.status},
        )

"""Where plain HTTP requests go: health checks, files, and the HTTP API of each application."""

from __future__ import annotations

import logging
import time
from urllib.parse import unquote

from broadcaster.protocol.api import ApiRequest, ApiResponse, answer
from broadcaster.protocol.hub import Hub
from broadcaster.server.assets import asset
from broadcaster.server.node import HEALTH, Node

__all__ = ["Routes"]

_logger = logging.getLogger("broadcaster.server")


class Routes:
    """Answers for *node*."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def answer(self, request: ApiRequest) -> ApiResponse:
        """Answer *request*, and do what it asks for."""
        with self._node.requests.taken(request) as taken:
            response = self._answer(request)
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
        return response

    def _answer(self, request: ApiRequest) -> ApiResponse:
        if request.path in HEALTH:
            return self._node.health(request.path)
        if (file := asset(request)) is not None:
            return file
        if request.path.startswith("/app/"):
            return ApiResponse(426, "this is the WebSocket address: connect with a Pusher client")
        hub = self._hub_of(request.path)
        if isinstance(hub, ApiResponse):
            return hub
        response = answer(hub, request, now=time.time())
        self._node.perform(hub, response.effects)
        return response

    def _hub_of(self, path: str) -> Hub | ApiResponse:
        root, _, rest = path.removeprefix("/").partition("/")
        app_id = unquote(rest.partition("/")[0])
        if root != "apps" or not app_id:
            return ApiResponse(404, "no such route")
        hub = self._node.hubs.get(app_id)
        if hub is None:
            return ApiResponse(404, f"no application has the id {app_id[:100]!r}")
        return hub if hub.app.enabled else ApiResponse(403, "the application is disabled")

"""The application of the demo: what it answers to a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote

from pydantic import AfterValidator, BaseModel, StringConstraints, ValidationError

from broadcaster import BroadcastManager, DeliveryError, Message
from broadcaster.context import is_socket_id
from broadcaster.demo._chat import MessageSent, say
from broadcaster.server.assets import client_js
from broadcaster.signals import sent
from broadcaster.signing import Credentials

__all__ = ["Application", "Request", "Response"]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; the names of *headers* are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Application:
    """A chat room: one page, one private channel and one presence channel.

    *credentials* are those of the WebSocket server, which browsers reach on *port* of the same host.
    """

    def __init__(self, broadcast: BroadcastManager, credentials: Credentials, *, port: int) -> None:
        self._broadcast = broadcast
        self._credentials = credentials
        self.port = port
        self._routes: dict[tuple[str, str], Callable[[Request], dict[str, Any]]] = {
            ("GET", "/config"): self._config,
            ("POST", "/broadcasting/auth"): self._authorize,
            ("POST", "/say"): self._say,
        }
        sent.connect(_note_delivery, sender=broadcast)

    def respond(self, request: Request) -> Response:
        """Answer *request*; what is wrong with it is told in the answer."""
        if request.method == "GET" and (asset := _ASSETS.get(request.path)) is not None:
            return Response(
                200, files("broadcaster.demo").joinpath(asset.name).read_bytes(), asset.content_type
            )
        if (request.method, request.path) == ("GET", "/client.js"):
            return Response(200, client_js().encode(), "text/javascript; charset=utf-8")
        handler = self._routes.get((request.method, request.path), _unknown)
        try:
            return _json(200, handler(request))
        except _Refused as refused:
            return _json(refused.status, {"error": str(refused)})

    def _config(self, _: Request) -> dict[str, Any]:
        return {"key": self._credentials.key, "port": self.port}

    def _authorize(self, request: Request) -> dict[str, Any]:
        """Sign one connection's subscription, or refuse to."""
        user = _user(request)
        asked = _valid(_AuthRequest, _form(request.body))
        match asked.channel_name:
            case "private-demo":
                return {"auth": self._credentials.channel_auth(asked.socket_id, asked.channel_name)}
            case "presence-demo":
                member = {"user_id": user.id, "user_info": user.model_dump()}
                data = json.dumps(member, ensure_ascii=False)
                auth = self._credentials.channel_auth(asked.socket_id, asked.channel_name, data)
                return {"auth": auth, "channel_data": data}
            case _:
                raise _Refused(403, "nobody may join that channel; there are private-demo and presence-demo")

    def _say(self, request: Request) -> dict[str, Any]:
        """Send what somebody wrote, and tell what became of it."""
        user = _user(request)
        text = _valid(_Said, _loaded(request.body)).text
        message = MessageSent(user_id=user.id, name=user.name, text=text, sent_at=datetime.now(UTC))
        noting = _deliveries.set([])
        started = time.perf_counter()
        try:
            say(self._broadcast, message, socket_id=request.headers.get("x-socket-id"))
            took = (time.perf_counter() - started) * 1000
            return {"deliveries": _deliveries.get(), "milliseconds": round(took, 2)}
        except DeliveryError as error:
            raise _Refused(503, str(error)) from error
        finally:
            _deliveries.reset(noting)


_deliveries: ContextVar[list[dict[str, Any]] | None] = ContextVar("demo_deliveries", default=None)
"""What the request in progress has delivered, for the page's log."""


def _note_delivery(_: BroadcastManager, *, message: Message, driver: str, **__: object) -> None:
    if (deliveries := _deliveries.get()) is not None:
        facts = {"event": message.name, "channels": message.channels, "driver": driver}
        deliveries.append(facts | {"left_out": message.except_socket})


class _Asset(NamedTuple):
    name: str
    content_type: str


# The page shows the two chat files as they are: what it explains is what runs.
_ASSETS = {
    "/": _Asset("page.html", "text/html; charset=utf-8"),
    "/beneath.js": _Asset("beneath.js", "text/javascript; charset=utf-8"),
    "/page.css": _Asset("page.css", "text/css; charset=utf-8"),
    "/page.js": _Asset("page.js", "text/javascript; charset=utf-8"),
    "/chat.js": _Asset("chat.js", "text/javascript; charset=utf-8"),
    "/chat.py": _Asset("_chat.py", "text/plain; charset=utf-8"),
    "/favicon.ico": _Asset("icon.svg", "image/svg+xml"),
    "/icon.svg": _Asset("icon.svg", "image/svg+xml"),
}


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _unknown(request: Request) -> dict[str, Any]:
    raise _Refused(404, f"nothing answers {request.method} {request.path[:100]}")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("only printable characters are allowed")
    return text


def _socket_id(text: str) -> str:
    if not is_socket_id(text):
        raise ValueError("a socket id is two numbers with a dot between them")
    return text


class _User(BaseModel):
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,36}$")]
    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=24), AfterValidator(_printable)
    ]


class _Said(BaseModel):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class _AuthRequest(BaseModel):
    socket_id: Annotated[str, AfterValidator(_socket_id)]
    channel_name: Annotated[str, StringConstraints(min_length=1, max_length=200)]


_Model = TypeVar("_Model", bound=BaseModel)


def _user(request: Request) -> _User:
    """Believe the window who it is; a real application would ask its own session."""
    named = {"id": "x-user-id", "name": "x-user-name"}
    # A header is ASCII, and a name need not be.
    return _valid(_User, {k: unquote(request.headers[h]) for k, h in named.items() if h in request.headers})


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=10))
    except ValueError as error:
        raise _Refused(400, "the body is not a form") from error


def _loaded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Refused(400, "the body is not JSON") from error


def _valid(model: type[_Model], values: object) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        reasons = (f"{'.'.join(map(str, found['loc'])) or 'body'}: {found['msg']}" for found in problems)
        raise _Refused(400, "; ".join(reasons)) from error


def _json(status: int, content: Mapping[str, Any]) -> Response:
    return Response(status, json.dumps(content).encode())

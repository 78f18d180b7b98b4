"""The back end that a user would write: pages, channel authorization, and requests that send events."""

from __future__ import annotations

import json
import signal
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs

from broadcaster.signing import Credentials

from .group import Server
from .sdks import SDKS, RefusedError, shared_secret

__all__ = ["Application"]

HERE = Path(__file__).parent
PAGE = b"""<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>broadcaster end to end</title>
<script src="/npm/pusher-js/dist/web/pusher.js"></script>
"""
USERS: dict[str, dict[str, Any]] = {
    "ann": {"user_id": "ann", "user_info": {"name": "Ann"}},
    "bob": {"user_id": "bob", "user_info": {"name": "Bob"}},
    "zoe": {"user_id": "zoe", "user_info": {"name": "Zoë ☃"}},
    "7": {"user_id": 7, "user_info": {"name": "Number Seven"}},
    "nameless": {"user_id": "nameless"},
}
SDK_METHODS = {
    *("trigger", "trigger_batch", "send_to_user", "terminate_user_connections"),
    *("channels_info", "channel_info", "users_info"),
}


class Application:
    """Serves the scenarios and whatever they ask of a back end, while the `with` block lasts."""

    def __init__(self, server: Server) -> None:
        self.server = server
        handler = type("Handler", (_Handler,), {"application": self})
        self._http = ThreadingHTTPServer((server.host, 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self.url = f"http://{server.host}:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def call_sdk(self, name: str, method: str, *args: Any, secret: str | None = None) -> Any:
        """Call the *method* of an SDK as an application would that holds *secret*."""
        with SDKS[name](self.server, secret or self.server.secret) as sdk:
            return getattr(sdk, method)(*args)


class _Handler(BaseHTTPRequestHandler):
    """One request to the application."""

    application: ClassVar[Application]

    def do_GET(self) -> None:
        if self.path == "/":
            return self._answer(HTTPStatus.OK, PAGE, "text/html; charset=utf-8")
        npm = self.path.startswith("/npm/")
        root = HERE / "node_modules" if npm else HERE
        file = (root / self.path.removeprefix("/npm").lstrip("/")).resolve()
        if file.suffix == ".js" and file.is_relative_to(HERE) and file.is_file():
            return self._answer(HTTPStatus.OK, file.read_bytes(), "text/javascript; charset=utf-8")
        return self._answer(HTTPStatus.NOT_FOUND, b"", "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        routes = {
            "/broadcasting/auth": self._authorize,
            "/broadcasting/user-auth": self._sign_in,
            "/publish": self._publish,
            "/sdk": self._sdk,
            "/restart": self._restart,
        }
        status, answer = routes[self.path](body)
        self._answer(status, json.dumps(answer).encode(), "application/json")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet: a scenario that fails reports what its client saw."""

    def _authorize(self, body: str) -> tuple[HTTPStatus, object]:
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        channel = asked["channel_name"]
        if channel.startswith(("private-forbidden", "presence-forbidden")):
            return HTTPStatus.FORBIDDEN, {"message": "This action is unauthorized."}
        if not channel.startswith("presence-"):
            answer = {"auth": self._credentials.channel_auth(asked["socket_id"], channel)}
            if channel.startswith("private-encrypted-"):
                answer["shared_secret"] = shared_secret(channel)
            return HTTPStatus.OK, answer
        data = json.dumps(USERS[self.headers["X-Test-User"]])
        return HTTPStatus.OK, {
            "auth": self._credentials.channel_auth(asked["socket_id"], channel, data),
            "channel_data": data,
        }

    def _sign_in(self, body: str) -> tuple[HTTPStatus, object]:
        watchlist = self.headers.get("X-Test-Watchlist", "").split()
        user = json.dumps(
            {"id": self.headers["X-Test-User"]} | ({"watchlist": watchlist} if watchlist else {})
        )
        auth = self._credentials.user_auth(parse_qs(body)["socket_id"][0], user)
        return HTTPStatus.OK, {"auth": auth, "user_data": user}

    def _publish(self, body: str) -> tuple[HTTPStatus, object]:
        asked = json.loads(body)
        except_socket = self.headers["X-Socket-ID"] if asked["to_others"] else None
        args = (asked["channels"], asked["event"], asked["data"], except_socket)
        return HTTPStatus.OK, self.application.call_sdk("driver", "trigger", *args)

    def _sdk(self, body: str) -> tuple[HTTPStatus, object]:
        asked = json.loads(body)
        if asked["method"] not in SDK_METHODS:
            return HTTPStatus.NOT_FOUND, {"error": "no such method", "status": 404}
        try:
            answer = self.application.call_sdk(
                asked["sdk"], asked["method"], *asked["args"], secret=asked["secret"]
            )
        except RefusedError as error:
            return HTTPStatus.BAD_GATEWAY, {"error": str(error), "status": error.status}
        return HTTPStatus.OK, answer

    def _restart(self, body: str) -> tuple[HTTPStatus, object]:
        how = signal.Signals[json.loads(body)["signal"]]
        return HTTPStatus.OK, {"exit_code": self.application.server.restart(how)}

    @property
    def _credentials(self) -> Credentials:
        server = self.application.server
        return Credentials(server.key, self.headers["X-Test-Secret"] or server.secret)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

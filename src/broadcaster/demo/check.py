"""`broadcaster demo --check`: the whole way of one event, without a browser, step by step."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

from rich.console import Console
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from broadcaster import BroadcastError
from broadcaster.demo._running import Running, running

__all__ = ["check"]

_SECONDS = 5.0
_USER = {"X-User-Id": "check", "X-User-Name": "Check"}
_EXPECTED = (BroadcastError, HTTPException, LookupError, OSError, ValueError, WebSocketException)
"""What a step can end with when something is wrong."""
_TEXT = "from Python to a browser, na\u00efve \u2713"


def check(console: Console | None = None) -> bool:
    """Make the round trip, print each step on *console*, and return whether all of it worked."""
    report = _Report(console or Console(highlight=False, soft_wrap=True))
    try:
        with ExitStack() as stack:
            _round_trip(report, stack)
    except (*_EXPECTED, _Unexpected) as error:
        report.failed(error)
        return False
    report.passed()
    return True


def _round_trip(report: _Report, stack: ExitStack) -> None:
    with report.step("start the embedded server and the example application") as step:
        demo = stack.enter_context(running())
        step.detail = f"ports {demo.port} and {demo.app_port}"

    with report.step("connect two WebSockets") as step:
        reader, writer = (stack.enter_context(_connected(demo)) for _ in range(2))
        step.detail = f"socket ids {reader.socket_id} and {writer.socket_id}"

    with report.step("try a wrong signature") as step:
        reader.subscribe("private-demo", auth=f"{demo.key}:{'0' * 64}")
        refusal = reader.next_frame("pusher:subscription_error")
        step.detail = f"refused: {refusal['type']} {refusal['status']}"

    with report.step("ask /broadcasting/auth for a channel that has no rule") as step:
        reader.ask("/broadcasting/auth", reader.form("private-other"), status=403)
        step.detail = "refused: 403"

    with report.step("ask /broadcasting/auth for private-demo, and subscribe"):
        for peer in (reader, writer):
            peer.subscribe("private-demo", **peer.ask("/broadcasting/auth", peer.form("private-demo")))
            peer.next_frame("pusher_internal:subscription_succeeded")

    with report.step("POST /say: dispatch MessageSent through the local driver") as step:
        answer = writer.ask("/say", {"text": _TEXT}, headers={"X-Socket-ID": writer.socket_id})
        delivery = {"event": "MessageSent", "channels": ["private-demo"], "driver": "local"}
        _expect("what was delivered", answer["deliveries"], [delivery | {"left_out": writer.socket_id}])
        step.detail = f"{answer['milliseconds']:.1f} ms of it in send()"

    with report.step("receive it on the other WebSocket, with the same data") as step:
        received = reader.next_frame("MessageSent")
        _expect("the text", received["text"], _TEXT)
        step.detail = f"fields: {', '.join(received)}"

    with report.step("see that the sender was left out") as step:
        # The next one goes to everybody: had the first gone to the sender, it would come before this.
        reader.ask("/say", {"text": "to everybody"})
        heard = writer.next_frame("MessageSent")
        _expect("the first text that the sender hears", heard["text"], "to everybody")
        step.detail = f"X-Socket-ID: {writer.socket_id}"

    with report.step("close the WebSockets, the application and the server"):
        stack.close()


class _Unexpected(Exception):
    """Something else happened than what the step is about."""


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise _Unexpected(f"{what} is {found!r}, not {wanted!r}")


@contextmanager
def _connected(demo: Running) -> Iterator[_Peer]:
    # A socket of our own, so that no proxy named in the environment comes between.
    plain = socket.create_connection(("127.0.0.1", demo.port), timeout=_SECONDS)
    with connect(demo.websocket_url, sock=plain, open_timeout=_SECONDS, close_timeout=_SECONDS) as websocket:
        yield _Peer(demo, websocket)


class _Peer:
    """One browser window, as far as the demo can tell."""

    def __init__(self, demo: Running, websocket: Connection) -> None:
        self._demo = demo
        self._websocket = websocket
        self.socket_id: str = self.next_frame("pusher:connection_established")["socket_id"]

    def subscribe(self, channel: str, *, auth: str) -> None:
        frame = {"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}
        self._websocket.send(json.dumps(frame))

    def next_frame(self, event: str) -> dict[str, Any]:
        """Return the data of the next frame, which has to be an *event*."""
        try:
            text = self._websocket.recv(timeout=_SECONDS)
        except TimeoutError as error:
            raise _Unexpected(f"no {event} within {_SECONDS:g} s") from error
        frame = json.loads(text)
        if frame["event"] != event:
            raise _Unexpected(f"{text!r} came instead of {event}")
        data = frame["data"]
        decoded: dict[str, Any] = json.loads(data) if isinstance(data, str) else data
        return decoded

    def form(self, channel: str) -> str:
        """Return what a browser sends to ask for *channel*."""
        return urlencode({"socket_id": self.socket_id, "channel_name": channel})

    def ask(
        self,
        path: str,
        body: str | dict[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> dict[str, Any]:
        """POST a form or JSON to the application, and return its answer, which has to have this *status*."""
        with closing(HTTPConnection("127.0.0.1", self._demo.app_port, timeout=_SECONDS)) as http:
            content = body if isinstance(body, str) else json.dumps(body)
            http.request("POST", path, content.encode(), {**_USER, **(headers or {})})
            response = http.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        if response.status != status:
            raise _Unexpected(f"POST {path} answered {response.status}, not {status}: {answer}")
        return answer


@dataclass(slots=True)
class _Step:
    title: str
    detail: str = ""
    milliseconds: float = 0.0


class _Report:
    """Prints the steps: green and red on a terminal, plain text elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._whole = _Step("from a typed event to a browser's WebSocket: everything works")
        self._current = self._whole
        good, bad = "\u2713", "\u2717"
        try:
            (good + bad).encode(console.encoding)
        except UnicodeEncodeError:
            good, bad = "ok", "!!"
        self._marks = good, bad

    @contextmanager
    def step(self, title: str) -> Iterator[_Step]:
        """Time what happens inside, and print it when it went well."""
        self._current = _Step(title)
        started = time.perf_counter()
        try:
            yield self._current
        finally:
            self._current.milliseconds = (time.perf_counter() - started) * 1000
            self._whole.milliseconds += self._current.milliseconds
        self._print(self._marks[0], "green", self._current)

    def failed(self, error: Exception) -> None:
        self._print(self._marks[1], "red", self._current)
        self._console.print(f"    {error}", style="red", markup=False)

    def passed(self) -> None:
        self._print(self._marks[0], "bold green", self._whole)

    def _print(self, mark: str, style: str, step: _Step) -> None:
        took = f"{step.milliseconds:7.1f} ms"
        detail = f"  [dim]{step.detail}[/]" if step.detail else ""
        self._console.print(f"[{style}]{mark}[/] {step.title:<62} [cyan]{took}[/]{detail}")

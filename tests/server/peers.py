"""Nodes that hear each other through one Redis, and clients on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from broadcaster.cluster.redis import redis_group
from broadcaster.server import App, ServerThread
from tests.drivers.proxy import Proxy
from tests.server.clients import APP, CREDENTIALS, Client, call, client, plain
from tests.waits import until

PREFIX = "shop-database-"
OTHER = App(id="9", key="other", secret="other-secret")
APPS = [replace(APP, history=("kept*",)), OTHER]


@contextmanager
def node(url: str, **options: Any) -> Iterator[ServerThread]:
    """A node that hears the others, on the Redis at *url*."""
    group = redis_group(url, prefix=PREFIX, **options)
    with ServerThread(APPS, port=0, group=group) as server:
        until(lambda: plain(server.port, "GET", "/readyz").status == 200)
        yield server


def cut(proxy: Proxy, server: ServerThread) -> None:
    """Take the Redis from *server*; return when it has noticed."""
    proxy.stop()
    until(lambda: plain(server.port, "GET", "/readyz").status == 503)


def mend(proxy: Proxy, server: ServerThread) -> None:
    """Give *server* its Redis back; return when it hears the others again."""
    proxy.start()
    until(lambda: plain(server.port, "GET", "/readyz").status == 200)


@contextmanager
def clients(*servers: ServerThread) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(server.port)) for server in servers]


def post(server: ServerThread, channel: str, data: object, **more: object) -> None:
    event = {"name": "news", "channels": [channel], "data": json.dumps(data), **more}
    assert call(server.port, "POST", "/apps/3/events", event).status == 200


def ask(server: ServerThread, path: str) -> tuple[bool, int]:
    answer = call(server.port, "GET", f"/apps/3/{path}", query={"info": "subscription_count"}).json
    return answer["occupied"], answer.get("subscription_count", 0)


def next_data(browser: Client) -> Any:
    return json.loads(browser.receive()["data"])


def next_user(frame: Any) -> str:
    return str(json.loads(frame["data"])["user_id"])


def sign_in(browser: Client, user_id: str, **more: object) -> None:
    data = json.dumps({"id": user_id, **more})
    auth = CREDENTIALS.user_auth(browser.socket_id, data)
    browser.send("pusher:signin", data={"auth": auth, "user_data": data})
    assert browser.receive()["event"] == "pusher:signin_success"

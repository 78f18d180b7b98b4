"""One script, and a variable that says which way its event goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcaster.server import ServerThread
from tests.drivers.ably_stub import KEY, AblyStub, serving_ably
from tests.drivers.redis_servers import PASSWORD, RedisServer, eventually
from tests.server.clients import APP, client

SCRIPT = Path(__file__).parents[2] / "examples" / "script.py"
NAME, CHANNEL, DATA = "OrderShipped", "private-orders.7", {"order_id": 7, "carrier": "post"}
LINE = """broadcast 'OrderShipped' on private-orders.7: {"order_id":7,"carrier":"post"}\n"""


def run(**variables: str) -> str:
    """Run the script with these variables about drivers and no others; return what it says."""
    prefixes = ("BROADCAST_", "PUSHER_", "REDIS_", "ABLY_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    result = subprocess.run(
        [sys.executable, SCRIPT],
        env=env | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "")
    return result.stderr


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def ably() -> Iterator[AblyStub]:
    with serving_ably() as stub:
        yield stub


def through_redis(server: RedisServer) -> dict[str, str]:
    return {"REDIS_PORT": str(server.port), "REDIS_PASSWORD": PASSWORD, "REDIS_PREFIX": "shop-"}


def through_pusher(port: int) -> dict[str, str]:
    where = {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": str(port), "PUSHER_SCHEME": "http"}
    return {**where, "PUSHER_APP_ID": APP.id, "PUSHER_APP_KEY": APP.key, "PUSHER_APP_SECRET": APP.secret}


def published(server: RedisServer, **variables: str) -> tuple[dict[str, object], str]:
    """Run the script while somebody listens to Redis; return what came, and what the script said."""
    with server.client().pubsub() as listener:
        listener.subscribe("shop-" + CHANNEL)
        eventually(lambda: listener.get_message(timeout=1.0))
        said = run(**variables, **through_redis(server))
        heard = eventually(lambda: listener.get_message(timeout=1.0))
    message: dict[str, object] = json.loads(heard["data"])
    return message, said


FROM_REDIS = {"event": NAME, "data": {**DATA, "socket": None}, "socket": None}


def test_without_a_variable_it_logs() -> None:
    assert run() == LINE


def test_log() -> None:
    assert run(BROADCAST_DRIVER="log") == LINE


def test_null() -> None:
    assert run(BROADCAST_DRIVER="null") == ""


def test_pusher() -> None:
    with ServerThread([APP], port=0) as server, client(server.port) as browser:
        browser.subscribe(CHANNEL)

        said = run(BROADCAST_DRIVER="pusher", **through_pusher(server.port))

        heard = browser.receive()
    assert said == ""
    assert (heard["event"], heard["channel"], json.loads(heard["data"])) == (NAME, CHANNEL, DATA)


def test_redis(redis: RedisServer) -> None:
    assert published(redis, BROADCAST_DRIVER="redis") == (FROM_REDIS, "")


def test_ably(ably: AblyStub) -> None:
    said = run(BROADCAST_DRIVER="ably", ABLY_KEY=KEY, ABLY_ENDPOINT="127.0.0.1", ABLY_PORT=str(ably.port))

    (heard,) = ably.wait_for(1)
    assert said == ""
    assert (heard.name, heard.channel) == (NAME, "private:orders.7")
    assert heard.data == {**DATA, "socket": None}


def test_stack(redis: RedisServer) -> None:
    assert published(redis, BROADCAST_DRIVER="stack", BROADCAST_STACK="log,redis") == (FROM_REDIS, LINE)


def test_failover(redis: RedisServer) -> None:
    nobody = {**through_pusher(9), "PUSHER_RETRIES": "0"}

    message, said = published(redis, BROADCAST_DRIVER="failover", BROADCAST_FAILOVER="pusher,redis", **nobody)

    assert (message, said) == (FROM_REDIS, "")

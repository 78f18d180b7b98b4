from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from broadcaster import ConfigurationError
from broadcaster.drivers._pusher_sdk import PusherApp
from tests.programs import python

# The credentials of Pusher's own page.
KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"


def app(**options: Any) -> PusherApp:
    known: dict[str, Any] = {"app_id": "3", "key": KEY, "secret": SECRET, "scheme": "https", "path": ""}
    unset = dict.fromkeys(["cluster", "host", "port"])
    return PusherApp(**{**known, **unset, **options})


def signed(url: str) -> dict[str, str]:
    return dict(part.split("=") for part in url.partition("?")[2].split("&"))


# Signatures that were computed elsewhere.


def test_an_event_is_signed_as_the_sdk_signs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1353088179.0)

    request = app().post("events", body={"name": "foo", "channels": ["project-3"], "data": '{"some":"data"}'})

    assert request.body == rb'{"name": "foo", "channels": ["project-3"], "data": "{\"some\":\"data\"}"}'
    assert signed(request.url) == {
        "auth_key": KEY,
        "auth_timestamp": "1353088179",
        "auth_version": "1.0",
        "body_md5": "fc3b09a10b64bfbae6a3fe62247c2535",
        "auth_signature": "6ca021b21608bbd9ab698da5cda6b718041fc48fd5a8018e2dd0255cf00b659e",
    }
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Pusher-Library"].startswith("pusher-http-python ")


def test_a_termination_is_signed_with_the_path_of_its_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1700000000.0)

    request = app().post("users", "user-1", "terminate_connections", body={})

    assert request.url.startswith("https://api.pusherapp.com:443/apps/3/users/user-1/terminate_connections?")
    assert request.body == b"{}"
    assert signed(request.url)["auth_signature"] == (
        "b4e152e8102620cc068aaf8ee159d3151ec468fa35e4b24355ea8c4e750a6908"
    )


@pytest.mark.parametrize(
    ("path", "query", "signature"),
    [
        (
            ["channels"],
            {"filter_by_prefix": "presence-", "info": "user_count"},
            "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
        ),
        (["channels"], {}, "4707afdd8f617b6c4cd52e889d9136a131f31f57e26ce815afd04af0b804c7d3"),
        (
            ["channels", "presence-foobar"],
            {"info": "user_count,subscription_count"},
            "117e082c7dff8537497b0f08dd31c0b8ee92e5c3bc2518238afed83c03e6966e",
        ),
        (
            ["channels", "presence-foobar", "users"],
            {},
            "9e7cd451c60103a5a50ac29611500f874871a63a6c627727ac333981759139a1",
        ),
        (["connections"], {}, "e163ce08b07dc0654320dce9fda87500dcca6d3c8251ff3f22abb0b92cacbcc6"),
    ],
)
def test_a_question_is_signed_without_the_digest_of_a_body(
    monkeypatch: pytest.MonkeyPatch, path: list[str], query: dict[str, str], signature: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1700000000.0)

    request = app().get(*path, **query)

    assert (request.method, request.body, request.repeatable) == ("GET", b"", True)
    assert "body_md5" not in request.url
    assert signed(request.url)["auth_signature"] == signature


def test_what_travels_is_percent_encoded_and_what_is_signed_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1700000000.0)
    odd = app(app_id="my app", key="a+b&c")

    url = odd.get("channels", "a=b@c,d;e-f_g.h", filter_by_prefix="#server-to-user-é&", info="a,b").url

    address, _, query = url.partition("?")
    assert address == "https://api.pusherapp.com:443/apps/my%20app/channels/a=b@c,d;e-f_g.h"
    assert query.startswith("filter_by_prefix=%23server-to-user-%C3%A9%26&info=a,b&auth_key=a%2Bb%26c&")


def test_what_is_posted_is_not_changed() -> None:
    body = {"name": "foo", "channels": ["a"], "data": "{}"}
    headers = {"X-Idempotency-Key": "abc"}

    request = app().post("events", body=body, headers=headers, repeatable=True)

    assert (body, headers) == (
        {"name": "foo", "channels": ["a"], "data": "{}"},
        {"X-Idempotency-Key": "abc"},
    )
    assert request.repeatable
    assert request.headers["X-Idempotency-Key"] == "abc"


# Where an application lives.


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "https://api.pusherapp.com:443/apps/3/x"),
        ({"cluster": "eu"}, "https://api-eu.pusher.com:443/apps/3/x"),
        ({"cluster": "eu", "host": "ws.example.com"}, "https://ws.example.com:443/apps/3/x"),
        ({"host": "localhost", "scheme": "http"}, "http://localhost:80/apps/3/x"),
        ({"host": "10.0.0.7", "port": 6001, "scheme": "http"}, "http://10.0.0.7:6001/apps/3/x"),
        ({"host": "my_service", "port": 8080}, "https://my_service:8080/apps/3/x"),
        ({"host": "::1", "port": 6001}, "https://[::1]:6001/apps/3/x"),
        ({"host": "[2001:DB8::1]"}, "https://[2001:db8::1]:443/apps/3/x"),
        ({"host": "h", "path": "/"}, "https://h:443/apps/3/x"),
        ({"host": "h", "path": "/realtime/"}, "https://h:443/realtime/apps/3/x"),
        ({"host": "h", "path": "a b/c%20d"}, "https://h:443/a%20b/c%20d/apps/3/x"),
    ],
)
def test_the_address_is_that_of_the_host_or_of_the_cluster(options: dict[str, Any], address: str) -> None:
    assert app(**options).get("x").url.partition("?")[0] == address


def test_the_path_that_the_server_lies_below_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1700000000.0)

    urls = [app(host="h", path=path).get("channels").url for path in ("", "/realtime")]

    assert len({signed(url)["auth_signature"] for url in urls}) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "https://ws.example.com"}, "PUSHER_HOST or PUSHER_APP_CLUSTER is wrong"),
        ({"host": "ws.example.com:6001"}, "PUSHER_PORT"),
        ({"host": "ws.example.com/realtime"}, "PUSHER_PATH"),
        ({"host": "user@ws.example.com"}, "a host is a name or an IP address"),
        ({"host": "ws..example.com"}, "a host is a name or an IP address"),
        ({"host": f"{'x' * 64}.example.com"}, "a host is a name or an IP address"),
        ({"host": "::1::"}, "a host is a name or an IP address"),
        ({"cluster": "eu.example.com/"}, "a host is a name or an IP address"),
        ({"scheme": "wss"}, "PUSHER_SCHEME must be 'http' or 'https', not 'wss'"),
        ({"app_id": ""}, "must not be empty"),
        ({"key": ""}, "must not be empty"),
        ({"secret": ""}, "PUSHER_APP_SECRET must not be empty"),
    ],
)
def test_an_address_that_cannot_be_is_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        app(**options)

    assert said in str(caught.value)


# The packages.


@pytest.mark.parametrize(
    ("package", "extra"), [("pusher", "pusher"), ("nacl", "encrypted"), ("six", "pusher")]
)
def test_without_a_package_the_driver_says_what_to_install(package: str, extra: str) -> None:
    program = (
        "from broadcaster import BroadcastManager, MissingExtra\n"
        "options = {'driver': 'pusher', 'app_id': '1', 'key': 'k', 'secret': 's'}\n"
        "broadcast = BroadcastManager.from_dict({'driver': 'p', 'drivers': {'p': options}})\n"
        "try: broadcast.driver()\n"
        "except MissingExtra as error: print(error)\n"
    )

    assert python(program, without=package) == (
        f"{package!r} is not installed; install it with: pip install 'broadcaster-kit[{extra}]'\n"
    )


def test_the_transports_of_the_sdk_are_not_loaded() -> None:
    program = (
        "import sys\n"
        "from broadcaster.drivers.pusher import PusherDriver\n"
        "PusherDriver(app_id='1', key='k', secret='s')\n"
        "print({'requests', 'aiohttp', 'urllib3'} & set(sys.modules))\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert (result.stdout, result.stderr) == ("set()\n", "")

"""What every home of broadcaster in a framework keeps, shown over real HTTP; and the servers for it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import AnonymousEvent, BroadcastManager, Member, SignIn
from broadcaster.context import socket_of_request
from broadcaster.signing import Credentials
from broadcaster.testing import capture
from tests.server.clients import SECONDS
from tests.waits import until

__all__ = ["CREDENTIALS", "HomeContract", "make_broadcast", "parts", "said", "serving_asgi", "serving_wsgi"]

CREDENTIALS = Credentials("app-key", "app-secret")
CROWD = 200

odd_names = st.one_of(
    st.text(max_size=80),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(
            ["", "private-", "presence-", "private-encrypted-", "private-private-", "presence-private-"]
        ),
        st.sampled_from(
            ["users.", "rooms.", "users", "users..", ".*", "users.(a+)+$", "users.{name}", "users.%00"]
        ),
        st.text(alphabet="abn.*+?()[]{}^$|\\-_=@,;é☃\x00 \n", max_size=40),
    ),
    st.sampled_from(["private-users." + "a" * 10_000, "presence-" + "." * 10_000, "private-" * 1_250]),
)


class HomeContract(ABC):
    """Subclass it; `app()` makes an application with a manager, and `serve()` serves it.

    The application asks its rules about the user that the header `X-User` names, nobody without it. It
    answers each `POST` to one of the paths in `says` with `said(broadcast, text)` or its async twin, the
    text being the query's, and `GET /stream` with the `parts()`, made one by one while it is read.
    """

    says: tuple[str, ...] = ("/say",)
    asynchronous = False

    @abstractmethod
    def app(self, broadcast: BroadcastManager) -> Any:
        """Return an application that uses *broadcast*."""

    def serve(self, app: Any) -> AbstractContextManager[str]:
        """Serve *app* while the block lasts; the value is its URL."""
        return serving_asgi(app) if self.asynchronous else serving_wsgi(app)

    @pytest.fixture
    def broadcast(self) -> BroadcastManager:
        return make_broadcast(asynchronous=self.asynchronous)

    @pytest.fixture
    def home(self, broadcast: BroadcastManager) -> Iterator[Browser]:
        with self.serve(self.app(broadcast)) as url, Browser.at(url) as browser:
            yield browser

    def test_a_private_channel_is_joined_by_whom_its_rule_lets_in(self, home: Browser) -> None:
        answer = home.ask("ann", channel_name="private-users.ann")

        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {"auth": CREDENTIALS.channel_auth("1.2", "private-users.ann")}

    def test_a_presence_channel_is_joined_as_a_member(self, home: Browser) -> None:
        answer = home.ask("zoë", channel_name="presence-rooms.lobby")

        data = '{"user_id":"zoë","user_info":{"name":"zoë"}}'
        auth = CREDENTIALS.channel_auth("1.2", "presence-rooms.lobby", data)
        assert (answer.status_code, answer.json()) == (200, {"auth": auth, "channel_data": data})

    def test_a_user_signs_in(self, home: Browser) -> None:
        answer = home.ask("ann", "/broadcasting/user-auth")

        data = '{"id":"ann"}'
        expected = {"auth": CREDENTIALS.user_auth("1.2", data), "user_data": data}
        assert (answer.status_code, answer.json()) == (200, expected)

    def test_json_is_answered_like_a_form(self, home: Browser) -> None:
        asked = {"socket_id": "1.2", "channel_name": "private-users.ann"}

        answer = home.http.post("/broadcasting/auth", json=asked, headers={"X-User": "ann"})

        assert answer.json() == {"auth": CREDENTIALS.channel_auth("1.2", "private-users.ann")}

    def test_get_is_answered_like_post(self, home: Browser) -> None:
        asked = {"socket_id": "1.2", "channel_name": "private-users.ann"}

        answer = home.http.get("/broadcasting/auth", params=asked, headers={"X-User": "ann"})

        assert answer.json() == {"auth": CREDENTIALS.channel_auth("1.2", "private-users.ann")}

    def test_several_channels_are_answered_at_once(self, home: Browser) -> None:
        several = {"channel_name[]": ["private-users.ann", "private-users.bob"]}

        answer = home.ask("ann", "/broadcasting/auth", **several)

        assert answer.status_code == 200
        assert {name: one["status"] for name, one in answer.json().items()} == {
            "private-users.ann": 200,
            "private-users.bob": 403,
        }

    @pytest.mark.parametrize("user", ["bob", None])
    @pytest.mark.parametrize("channel", ["private-users.ann", "private-nobody-knows", "public"])
    def test_what_no_rule_allows_is_refused(self, home: Browser, user: str | None, channel: str) -> None:
        answer = home.ask(user, channel_name=channel)

        assert (answer.status_code, list(answer.json())) == (403, ["error"])

    def test_nobody_signs_in_without_a_user(self, home: Browser) -> None:
        assert home.ask(None, "/broadcasting/user-auth").status_code == 403

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({}, 400),
            ({"channel_name": "private-users.ann", "socket_id": "nonsense:"}, 400),
            ({"channel_name": "private-ü"}, 400),
            ({"channel_name": "private-users.ann", "more": "x" * 70_000}, 413),
        ],
    )
    def test_a_bad_request_is_told_why(self, home: Browser, fields: dict[str, str], status: int) -> None:
        answer = home.ask("ann", **fields)

        assert (answer.status_code, list(answer.json())) == (status, ["error"])

    def test_another_kind_of_body_is_refused(self, home: Browser) -> None:
        headers = {"X-User": "ann", "Content-Type": "text/xml"}

        answer = home.http.post("/broadcasting/auth", content=b"<a/>", headers=headers)

        assert (answer.status_code, list(answer.json())) == (415, ["error"])

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_other_methods_are_refused(self, home: Browser, method: str) -> None:
        answer = home.http.request(method, "/broadcasting/auth", headers={"X-User": "ann"})

        assert answer.status_code == 405
        assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))

    def test_what_a_rule_raises_is_no_business_of_the_browser(self, home: Browser) -> None:
        answer = home.ask("ann", channel_name="private-broken")

        assert answer.status_code == 500
        assert "rack and ruin" not in answer.text
        assert "Traceback" not in answer.text

    def test_the_sender_is_left_out_of_what_goes_to_others(
        self, home: Browser, broadcast: BroadcastManager
    ) -> None:
        for path in self.says:
            with capture(broadcast) as outbox:
                for socket_id in ["12.34", None, "non sense", "56.78"]:
                    headers = {} if socket_id is None else {"X-Socket-ID": socket_id}
                    home.http.post(path, params={"text": "hi"}, headers=headers).raise_for_status()

            assert [sent.message.except_socket for sent in outbox] == ["12.34", None, None, "56.78"]

    def test_the_sender_is_known_while_a_body_is_made(self, home: Browser) -> None:
        heard = [
            home.http.get("/stream", headers=headers).text.splitlines()
            for headers in ({"X-Socket-ID": "12.34"}, {}, {"X-Socket-ID": "56.78"})
        ]

        assert heard == [["12.34"] * 3, ["nobody"] * 3, ["56.78"] * 3]

    def test_a_crowd_asks_at_once_and_everybody_gets_their_own_answer(self, home: Browser) -> None:
        def ask(number: int) -> None:
            name, socket_id = f"user{number}", f"{number}.{number}"
            with home.another() as browser:
                for channel in (f"private-crowd.{name}", f"private-users.{name}"):
                    answer = browser.ask(name, channel_name=channel, socket_id=socket_id)
                    expected = {"auth": CREDENTIALS.channel_auth(socket_id, channel)}
                    assert (answer.status_code, answer.json()) == (200, expected)
                assert browser.ask(name, channel_name=f"private-users.user{number + 1}").status_code == 403

        everybody(ask)

    def test_a_crowd_speaks_at_once_and_everybody_is_left_out_of_their_own(
        self, home: Browser, broadcast: BroadcastManager
    ) -> None:
        def say(number: int) -> None:
            path = self.says[number % len(self.says)]
            headers = {"X-Socket-ID": f"{number}.{number}"}
            with home.another() as browser:
                answer = browser.http.post(path, params={"text": str(number)}, headers=headers)
            answer.raise_for_status()

        with capture(broadcast) as outbox:
            everybody(say)

        heard = {(json.loads(sent.message.data)["text"], sent.message.except_socket) for sent in outbox}
        assert heard == {(str(number), f"{number}.{number}") for number in range(CROWD)}

    def test_no_name_and_no_body_is_worth_a_500(self, home: Browser) -> None:
        @settings(max_examples=60, deadline=None, database=None)
        @given(name=odd_names, socket_id=st.one_of(st.just("1.2"), st.text(max_size=20)))
        def name(name: str, socket_id: str) -> None:
            answer = home.ask("ann", channel_name=name, socket_id=socket_id)

            assert answer.status_code in {200, 400, 403}
            if answer.status_code == 200:
                assert name in {"private-users.ann", "private-encrypted-users.ann"} or re.fullmatch(
                    r"(presence|private|private-encrypted)-rooms\.[^.]+", name
                )

        @settings(max_examples=60, deadline=None, database=None)
        @given(
            body=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(json.dumps).map(str.encode)),
            kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain", ""]),
            query=st.text("a=&;%[]+0fF._-", max_size=40),
        )
        def body(body: bytes, kind: str, query: str) -> None:
            headers = {"X-User": "ann", "Content-Type": kind}
            answer = home.http.post(f"/broadcasting/auth?{query}", content=body, headers=headers)

            assert answer.status_code in {400, 415}

        name()
        body()


@dataclass(frozen=True)
class Browser:
    """What asks a home."""

    http: httpx.Client

    @classmethod
    @contextmanager
    def at(cls, url: str) -> Iterator[Browser]:
        """Connect to the home at *url* while the block lasts."""
        with httpx.Client(base_url=url, timeout=4 * SECONDS, verify=False) as http:
            yield cls(http)

    def another(self) -> AbstractContextManager[Browser]:
        """Connect to the same home, by connections of its own."""
        return self.at(str(self.http.base_url))

    def ask(self, user: str | None, path: str = "/broadcasting/auth", **fields: Any) -> httpx.Response:
        """Ask for leave with the header that names *user*, for the connection 1.2 unless told otherwise."""
        headers = {} if user is None else {b"X-User": user.encode()}
        return self.http.post(path, data={"socket_id": "1.2", **fields}, headers=headers)


def make_broadcast(*, asynchronous: bool) -> BroadcastManager:
    """Return a manager whose users are names; the rule for `crowd.{name}` waits until a crowd asks it."""
    options = {"app_id": "1", "key": CREDENTIALS.key, "secret": CREDENTIALS.secret}
    options |= {"encryption_master_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
    broadcast = BroadcastManager.from_dict({"driver": "pusher", "drivers": {"pusher": options}})
    arrived = asyncio.Barrier(CROWD) if asynchronous else threading.Barrier(CROWD, timeout=SECONDS)

    @broadcast.channel("rooms.{room}")
    def room(user: str, room: str) -> Member:
        return Member(user, {"name": user})

    @broadcast.channel("users.{name}")
    def own(user: str, name: str) -> bool:
        return user == name

    @broadcast.channel("broken")
    def broken(user: str) -> bool:
        raise RuntimeError("rack and ruin")

    async def task(user: str, name: str) -> bool:
        assert isinstance(arrived, asyncio.Barrier)
        async with asyncio.timeout(SECONDS):
            await arrived.wait()
        return user == name

    def thread(user: str, name: str) -> bool:
        assert isinstance(arrived, threading.Barrier)
        arrived.wait()
        return user == name

    broadcast.channel("crowd.{name}")(task if asynchronous else thread)
    broadcast.rules.sign_in(SignIn)
    return broadcast


def said(broadcast: BroadcastManager, text: str) -> None:
    """Tell everybody but the sender what was said."""
    broadcast.send(AnonymousEvent("Said", on="chat", data={"text": text}), to_others=True)


async def asaid(broadcast: BroadcastManager, text: str) -> None:
    """Like `said()`, without blocking the event loop."""
    await broadcast.asend(AnonymousEvent("Said", on="chat", data={"text": text}), to_others=True)


def parts() -> Iterator[bytes]:
    """Yield three lines, each the connection that the request came from when the line was made."""
    for _ in range(3):
        yield f"{socket_of_request() or 'nobody'}\n".encode()


def everybody(do: Callable[[int], None]) -> None:
    """Call *do* for every one of a crowd, in a thread each, and raise what the first of them raised."""
    with ThreadPoolExecutor(CROWD) as pool:
        for future in [pool.submit(do, number) for number in range(CROWD)]:
            future.result(SECONDS * 4)


@contextmanager
def serving_asgi(app: Any) -> Iterator[str]:
    """Serve *app* with uvicorn, its lifespan included; the value is its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * CROWD) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_keep_alive=60))

        def serve() -> None:
            with suppress(SystemExit):  # the application does not start
                server.run([listener])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            assert server.started, "the application did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SECONDS)


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread for every connection, and room for a crowd at the door."""

    request_queue_size = 2 * CROWD
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """Keeps the access log to itself."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        pass


@contextmanager
def serving_wsgi(app: Any) -> Iterator[str]:
    """Serve *app* with the server of the standard library, in a thread for each connection."""
    with _ThreadingServer(("127.0.0.1", 0), _QuietHandler) as server:
        server.set_app(app)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(SECONDS)

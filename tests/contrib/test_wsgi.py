from collections.abc import Iterable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest

from broadcaster import BroadcastManager, ConfigurationError
from broadcaster.context import socket_of_request
from broadcaster.contrib.wsgi import Broadcasting, Environ, SocketMiddleware
from tests.contrib.homes import HomeContract, parts, said


def user_of(environ: Environ) -> str | None:
    name = environ.get("HTTP_X_USER")
    return name and name.encode("latin-1").decode()


class TestBroadcasting(HomeContract):
    def app(self, broadcast: BroadcastManager) -> Broadcasting:
        def shop(environ: Environ, start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            if environ["PATH_INFO"] == "/stream":
                return parts()
            said(broadcast, parse_qs(environ["QUERY_STRING"])["text"][0])
            return [b"said"]

        return Broadcasting(shop, broadcast, user=user_of)


def call(app: Any, **environ: Any) -> tuple[str, list[bytes]]:
    """Return the status and the parts of the body, read to its end and closed."""
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = app(environ, lambda status, headers: statuses.append(status))
    found = list(body)
    if hasattr(body, "close"):
        body.close()
    return statuses[0], found


def test_the_prefix_can_be_another(broadcast: BroadcastManager) -> None:
    app = Broadcasting(lambda environ, start: [b"shop"], broadcast, user=user_of, prefix="/live")

    assert call(app, PATH_INFO="/live/auth")[0] == "400 Bad Request"


def test_rules_that_cannot_work_are_told_at_the_start(broadcast: BroadcastManager) -> None:
    class Order:
        pass

    @broadcast.channel("orders.{order}")
    def may_see(user: object, order: Order) -> bool:
        return True

    with pytest.raises(ConfigurationError, match="Order"):
        Broadcasting(lambda environ, start: [b""], broadcast, user=user_of)


def test_an_async_function_for_the_user_is_refused_with_the_remedy(
    broadcast: BroadcastManager, caplog: pytest.LogCaptureFixture
) -> None:
    async def user(environ: Environ) -> str:
        return "ann"

    status, body = call(
        Broadcasting(lambda environ, start: [b""], broadcast, user=user), PATH_INFO="/broadcasting/auth"
    )

    assert (status, body) == ("500 Internal Server Error", [b'{"error":"internal server error"}'])
    assert "make it a plain function" in caplog.text


def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_long(broadcast: BroadcastManager) -> None:
    sent = BytesIO(b"x" * 200_000)
    app = Broadcasting(lambda environ, start: [b""], broadcast, user=user_of)
    request = {"REQUEST_METHOD": "POST", "PATH_INFO": "/broadcasting/auth", "wsgi.input": sent}

    status, _ = call(app, CONTENT_LENGTH="200000", **request)

    assert (status[:3], sent.tell()) == ("413", 65_537)


@pytest.mark.parametrize("length", ["", "-1", "nonsense", "²"])
def test_a_body_without_a_length_is_read_where_the_server_ends_it(
    broadcast: BroadcastManager, length: str
) -> None:
    app = Broadcasting(lambda environ, start: [b""], broadcast, user=user_of)
    body = b"socket_id=1.2&channel_name=private-users.ann"
    request = {"PATH_INFO": "/broadcasting/auth", "REQUEST_METHOD": "POST", "CONTENT_LENGTH": length}

    unended = call(app, **request, **{"wsgi.input": BytesIO(body)})
    ended = call(app, **request, **{"wsgi.input": BytesIO(body), "wsgi.input_terminated": True})

    assert (unended[0], ended[0]) == ("400 Bad Request", "403 Forbidden")


def test_a_body_is_closed_under_the_note() -> None:
    heard = []

    class Body:
        def __iter__(self) -> Any:
            return iter([b"a", b"", b"b"])

        def close(self) -> None:
            heard.append(socket_of_request())

    app = SocketMiddleware(lambda environ, start: (start("200 OK", []), Body())[1])

    assert call(app, HTTP_X_SOCKET_ID="12.34")[1] == [b"a", b"", b"b"]
    assert heard == ["12.34"]
    assert socket_of_request() is None


def test_what_the_server_sends_by_itself_reaches_it_as_it_is() -> None:
    file = FileWrapper(BytesIO(b"a file"))
    app = SocketMiddleware(lambda environ, start: file)

    environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper, "HTTP_X_SOCKET_ID": "12.34"}

    assert app(environ, lambda *args: lambda data: None) is file

import gc
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from weakref import ref

import pytest
from flask import Flask, Response, g, request, session, stream_with_context

from broadcaster import AnonymousEvent, BroadcastManager, ConfigurationError, SignIn
from broadcaster.context import socket_of_request
from broadcaster.contrib.flask import Broadcasting
from broadcaster.testing import capture
from tests.contrib.homes import HomeContract, asaid, parts, said

ASKED = {"socket_id": "1.2", "channel_name": "private-users.ann"}


def user_of_header() -> str | None:
    name = request.headers.get("X-User")
    return name and name.encode("latin-1").decode()


class TestBroadcasting(HomeContract):
    says = ("/say", "/asay")

    def app(self, broadcast: BroadcastManager) -> Flask:
        app, broadcasting = Flask(__name__), Broadcasting()
        broadcasting.user(user_of_header)
        broadcasting.init_app(app, manager=broadcast)
        app.logger.disabled = True

        @app.post("/say")
        def say() -> str:
            said(broadcasting.manager, request.args["text"])
            return "said"

        @app.post("/asay")
        async def asay() -> str:
            await asaid(broadcasting.manager, request.args["text"])
            return "said"

        @app.get("/stream")
        def stream() -> Response:
            return Response(parts())

        return app


class Order:
    """What no rule can take without a resolver."""


def may_see_order(user: object, order: Order) -> bool:
    return True


@pytest.fixture
def broadcasting() -> Broadcasting:
    """Return an extension with a rule and a user, and no application yet."""
    broadcasting = Broadcasting()
    broadcasting.user(lambda: request.headers.get("X-User"))
    broadcasting.channel("users.{name}")(lambda user, name: user == name)
    return broadcasting


def make_app(broadcasting: Broadcasting, *, key: str = "app-key", name: str = "shop") -> Flask:
    app = Flask(name)
    driver = {"app_id": "1", "key": key, "secret": "app-secret"}
    app.config["BROADCASTING"] = {"driver": "pusher", "drivers": {"pusher": driver}}
    app.config["SECRET_KEY"] = "no secret"
    broadcasting.init_app(app)
    return app


def ask(app: Flask, path: str = "/broadcasting/auth", user: str = "ann", **asked: str) -> Any:
    return app.test_client().post(path, data=ASKED | asked, headers={"X-User": user})


# Applications and their managers.


def test_an_application_of_one_module_is_given_at_once() -> None:
    app = Flask("shop")

    broadcasting = Broadcasting(app)

    with app.app_context():
        assert broadcasting.manager is app.extensions["broadcaster"]


def test_two_applications_have_a_manager_each_and_the_same_rules(broadcasting: Broadcasting) -> None:
    shop, blog = make_app(broadcasting, key="shop-key"), make_app(broadcasting, key="blog-key", name="blog")
    broadcasting.channel("late")(lambda user: True)

    assert ask(shop).json["auth"].startswith("shop-key:")
    assert ask(blog).json["auth"].startswith("blog-key:")
    for app in (shop, blog):
        assert app.extensions["broadcaster"].rules.patterns == ["users.{name}", "late"]


def test_an_event_is_sent_by_the_manager_of_the_current_application(broadcasting: Broadcasting) -> None:
    shop, blog = make_app(broadcasting), make_app(broadcasting, name="blog")

    with capture(shop.extensions["broadcaster"]) as outbox, shop.app_context():
        broadcasting.send(AnonymousEvent("one", on="chat"))
        broadcasting.send_many([AnonymousEvent("two", on="chat")])
        with capture(blog.extensions["broadcaster"]) as other, blog.app_context():
            broadcasting.send(AnonymousEvent("three", on="chat"))

    assert [sent.message.name for sent in outbox] == ["one", "two"]
    assert [sent.message.name for sent in other] == ["three"]


async def test_an_event_is_sent_without_blocking_the_loop(broadcasting: Broadcasting) -> None:
    app = make_app(broadcasting)

    with capture(app.extensions["broadcaster"]) as outbox, app.app_context():
        await broadcasting.asend(AnonymousEvent("one", on="chat"))
        await broadcasting.asend_many([AnonymousEvent("two", on="chat")])

    assert [sent.message.name for sent in outbox] == ["one", "two"]


def test_an_application_that_configures_nothing_reads_the_environment(
    broadcasting: Broadcasting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROADCAST_DRIVER", "null")
    app = Flask("shop")

    broadcasting.init_app(app)

    assert app.extensions["broadcaster"].default == "null"


def test_a_wrong_setting_is_told_when_the_application_is_made(broadcasting: Broadcasting) -> None:
    app = Flask("shop")
    app.config["BROADCASTING"] = {"driver": "pusher", "drivers": {"pusher": {"key": "app-key"}}}

    with pytest.raises(ConfigurationError, match="secret"):
        broadcasting.init_app(app)
    assert "broadcaster" not in app.extensions


def test_a_manager_that_is_given_may_be_that_of_several_applications(broadcasting: Broadcasting) -> None:
    manager = BroadcastManager()
    apps = [Flask("one"), Flask("two")]

    for app in apps:
        broadcasting.init_app(app, manager=manager)

    assert [app.extensions["broadcaster"] for app in apps] == [manager, manager]
    assert manager.rules.patterns == ["users.{name}"]


def test_a_manager_goes_with_its_application(broadcasting: Broadcasting) -> None:
    manager = ref(make_app(broadcasting).extensions["broadcaster"])

    gc.collect()

    assert manager() is None


def test_an_application_has_one_broadcasting(broadcasting: Broadcasting) -> None:
    app = make_app(broadcasting)

    with pytest.raises(ConfigurationError, match="'shop' has broadcasting already"):
        Broadcasting(app)


def test_without_an_application_there_is_no_manager(broadcasting: Broadcasting) -> None:
    with pytest.raises(RuntimeError, match="outside of application context"):
        broadcasting.send(AnonymousEvent("one", on="chat"))
    with Flask("shop").app_context(), pytest.raises(ConfigurationError, match=r"call init_app\(\)"):
        broadcasting.send(AnonymousEvent("one", on="chat"))


# The rules, and whom they are asked about.


def test_rules_that_cannot_work_fail_the_first_request(broadcasting: Broadcasting) -> None:
    app = make_app(broadcasting)
    app.logger.disabled = True
    app.get("/")(lambda: "home")

    broadcasting.channel("orders.{order}")(may_see_order)
    assert app.test_client().get("/").status_code == 500
    app.testing = True
    with pytest.raises(ConfigurationError, match="Order"):
        app.test_client().get("/")

    broadcasting.rules.resolver(Order)(lambda number: Order())
    assert app.test_client().get("/").text == "home"


def test_without_a_function_for_the_user_nobody_joins_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broadcasting = Broadcasting()
    broadcasting.channel("users.{name}")(lambda user, name: True)

    answer = ask(make_app(broadcasting))

    assert answer.status_code == 403
    assert "no function for the user is registered with Broadcasting.user()" in caplog.text


def test_the_user_may_come_from_the_session_and_from_what_a_request_began_with() -> None:
    broadcasting = Broadcasting()

    @broadcasting.user
    def user() -> str:
        return f"{session['name']}-{g.tenant}"

    broadcasting.rules.sign_in(SignIn)
    app = make_app(broadcasting)

    @app.before_request
    def begin() -> None:
        g.tenant = "north"

    browser = app.test_client()
    with browser.session_transaction() as kept:
        kept["name"] = "ann"

    answer: Any = browser.post("/broadcasting/user-auth", data=ASKED)

    assert answer.json["user_data"] == '{"id":"ann-north"}'


def test_the_function_for_the_user_may_be_async_like_a_view() -> None:
    broadcasting = Broadcasting()
    broadcasting.channel("users.{name}")(lambda user, name: user == name)

    @broadcasting.user
    async def user() -> str | None:
        return request.headers.get("X-User")

    app = make_app(broadcasting)

    assert (ask(app).status_code, ask(app, user="bob").status_code) == (200, 403)


def test_an_async_rule_is_refused_with_the_remedy(broadcasting: Broadcasting) -> None:
    @broadcasting.channel("news")
    async def may_see(user: object) -> bool:
        return True

    app = make_app(broadcasting)
    app.testing = True

    with pytest.raises(TypeError, match="make it a plain function"):
        ask(app, channel_name="private-news")


def test_what_a_rule_raises_reaches_the_error_handler_of_the_application(broadcasting: Broadcasting) -> None:
    @broadcasting.channel("broken")
    def broken(user: object) -> bool:
        raise LookupError("no such order")

    app = make_app(broadcasting)
    app.register_error_handler(LookupError, lambda error: (f"handled: {error}", 418))

    answer = ask(app, channel_name="private-broken")

    assert (answer.status_code, answer.text) == (418, "handled: no such order")


# The endpoints.


def test_the_prefix_can_be_another() -> None:
    app = make_app(Broadcasting(url_prefix="/live"))

    assert ask(app, "/live/auth").status_code == 403
    assert ask(app, "/live/user-auth").status_code == 403
    assert ask(app, "/broadcasting/auth").status_code == 404


def test_every_view_has_the_name_by_which_other_extensions_look_it_up(broadcasting: Broadcasting) -> None:
    app = make_app(broadcasting)

    views = {name: view for name, view in app.view_functions.items() if name.startswith("broadcasting.")}

    assert {name: view.__name__ for name, view in views.items()} == {
        "broadcasting.auth": "auth",
        "broadcasting.user_auth": "user_auth",
    }


@pytest.mark.parametrize("chunked", [False, True])
def test_the_form_may_have_been_read_before(broadcasting: Broadcasting, chunked: bool) -> None:
    app = make_app(broadcasting)
    seen = []

    # As the CSRF protection of Flask-WTF does it.
    @app.before_request
    def protect() -> None:
        seen.append(request.form["channel_name"])

    body = b"socket_id=1.2&channel_name=private-users.ann"
    answer = app.test_client().post(
        "/broadcasting/auth",
        input_stream=BytesIO(body),
        content_type="application/x-www-form-urlencoded",
        content_length=None if chunked else len(body),
        headers={"X-User": "ann"},
        environ_overrides={"wsgi.input_terminated": True} if chunked else {},
    )

    assert answer.status_code == 200
    assert seen == ["private-users.ann"]


def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_long(broadcasting: Broadcasting) -> None:
    app = make_app(broadcasting)
    app.before_request(lambda: request.form and None)
    sent = BytesIO(b"x" * 200_000)

    answer = app.test_client().post(
        "/broadcasting/auth",
        input_stream=sent,
        content_length=200_000,
        content_type="application/x-www-form-urlencoded",
    )

    assert (answer.status_code, sent.tell()) == (413, 65_537)


# Which connection a request comes from.


def test_the_connection_is_known_until_the_request_is_torn_down(broadcasting: Broadcasting) -> None:
    app = make_app(broadcasting)
    heard: list[tuple[str, str | None]] = []

    def note(where: str) -> None:
        heard.append((where, socket_of_request()))

    app.before_request(lambda: note("before"))
    app.teardown_request(lambda error: note("teardown"))

    @app.get("/stream")
    def stream() -> Response:
        def body() -> Iterator[str]:
            yield request.path
            note("body")

        response = Response(stream_with_context(body()))
        response.call_on_close(lambda: note("close"))
        return response

    with app.test_client().get("/stream", headers={"X-Socket-ID": "12.34"}) as answer:
        assert answer.get_data(as_text=True) == "/stream"

    assert {where for where, _ in heard} == {"before", "body", "teardown", "close"}
    assert {socket for _, socket in heard} == {"12.34"}
    assert socket_of_request() is None


# The command.


def test_the_rules_are_listed(broadcasting: Broadcasting) -> None:
    @broadcasting.channel("news")
    def news(user: object) -> bool:
        return True

    result = make_app(broadcasting).test_cli_runner().invoke(args=["broadcasting-rules"])

    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert [line.partition(" ")[0] for line in lines] == ["news", "users.{name}", "", "2"]
    assert lines[0].endswith(".news")
    assert lines[-1] == "2 rules"


def test_that_there_are_no_rules_is_told() -> None:
    result = make_app(Broadcasting()).test_cli_runner().invoke(args=["broadcasting-rules"])

    assert result.exit_code == 1
    assert "nobody may join" in result.output


def test_the_listing_fails_where_a_rule_cannot_work(broadcasting: Broadcasting) -> None:
    broadcasting.channel("orders.{order}")(may_see_order)
    result = make_app(broadcasting).test_cli_runner().invoke(args=["broadcasting-rules"])

    assert result.exit_code == 1
    assert "orders.{order} " in result.output
    assert "Order" in result.output.splitlines()[-1]

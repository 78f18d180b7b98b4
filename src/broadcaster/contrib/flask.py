"""Broadcasting in Flask applications."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from io import BytesIO
from shutil import get_terminal_size
from typing import Any, TypeVar
from weakref import WeakSet

from click import ClickException, echo
from flask import Blueprint, Flask, Response, current_app, request

from broadcaster.contrib._endpoints import ENDPOINTS, METHODS, PREFIX
from broadcaster.contrib.wsgi import SocketMiddleware, auth_request
from broadcaster.errors import ConfigurationError
from broadcaster.events import Broadcastable, Via
from broadcaster.manager import BroadcastManager
from broadcaster.rules import ChannelRules
from broadcaster.rules.listing import NO_RULES, listing

__all__ = ["Broadcasting"]

SETTING = "BROADCASTING"

_EXTENSION = "broadcaster"
_ASKED = "broadcaster.auth_request"

_F = TypeVar("_F", bound=Callable[..., Any])

_logger = logging.getLogger("broadcaster.contrib")


class Broadcasting:
    """Gives a manager to each Flask application that it is initialized for, and answers Echo there.

    Its `rules` are those of every one of them, also when they are registered later; its `blueprint` answers
    auth requests beneath *url_prefix*. Without an *app* call `init_app()`.
    """

    def __init__(self, app: Flask | None = None, *, url_prefix: str = PREFIX) -> None:
        self.rules = ChannelRules()
        self.blueprint = Blueprint("broadcasting", __name__, url_prefix=url_prefix, cli_group=None)
        self.blueprint.url_value_preprocessor(_keep_auth_request)
        for path, sign_in in ENDPOINTS.items():
            self.blueprint.add_url_rule(path, view_func=self._view(path, sign_in=sign_in), methods=METHODS)
        self.blueprint.cli.command("broadcasting-rules")(self._list_rules)
        self._find_user: Callable[[], object] | None = None
        self._managers: WeakSet[BroadcastManager] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, manager: BroadcastManager | None = None) -> None:
        """Give *manager* to *app*: without one, what its setting BROADCASTING says, else the environment.

        That setting is what `BroadcastManager.from_dict()` takes. Rules that cannot work fail the first
        request, and all after it. Raises `ConfigurationError` for an application that has a manager.
        """
        if _EXTENSION in app.extensions:
            raise ConfigurationError(f"the application {app.name!r} has broadcasting already")
        if manager is None:
            content = app.config.get(SETTING)
            manager = BroadcastManager.from_env() if content is None else BroadcastManager.from_dict(content)
        if manager not in self._managers:
            manager.rules.include(self.rules)
            self._managers.add(manager)
        app.extensions[_EXTENSION] = manager
        app.register_blueprint(self.blueprint)
        app.before_request(_check_once(manager.rules))
        app.wsgi_app = SocketMiddleware(app.wsgi_app)  # type: ignore[method-assign]

    @property
    def manager(self) -> BroadcastManager:
        """The manager of the current application; raises RuntimeError outside of one."""
        manager: BroadcastManager | None = current_app.extensions.get(_EXTENSION)
        if manager is None:
            raise ConfigurationError(
                f"the application {current_app.name!r} has no broadcasting; call init_app() with it"
            )
        return manager

    def user(self, find: _F) -> _F:
        """Register the function that returns whom the rules are asked about, None being nobody.

        It is called inside the request, without arguments.
        """
        if self._find_user is not None:
            raise ConfigurationError("a function for the user is registered already")
        self._find_user = find
        return find

    def channel(self, pattern: str) -> Callable[[_F], _F]:
        """Register the function or class beneath as a rule; see `ChannelRules.channel()`."""
        return self.rules.channel(pattern)

    def send(self, event: Broadcastable, *, to_others: bool = False, via: Via = None) -> None:
        """Send by the manager of the current application; see `BroadcastManager.send()`."""
        self.manager.send(event, to_others=to_others, via=via)

    async def asend(self, event: Broadcastable, *, to_others: bool = False, via: Via = None) -> None:
        """Like `send()`, without blocking the event loop."""
        await self.manager.asend(event, to_others=to_others, via=via)

    def send_many(self, events: Iterable[Broadcastable], *, to_others: bool = False, via: Via = None) -> None:
        """Send by the manager of the current application; see `BroadcastManager.send_many()`."""
        self.manager.send_many(events, to_others=to_others, via=via)

    async def asend_many(
        self, events: Iterable[Broadcastable], *, to_others: bool = False, via: Via = None
    ) -> None:
        """Like `send_many()`, without blocking the event loop."""
        await self.manager.asend_many(events, to_others=to_others, via=via)

    def _view(self, path: str, *, sign_in: bool) -> Callable[[], Response]:
        def view() -> Response:
            answer = self.manager.answer(request.environ[_ASKED], self._user(), sign_in=sign_in)
            return current_app.response_class(answer.body, answer.status, dict(answer.headers))

        # Flask makes the endpoint of it; Flask-WTF and others ask every view for its name.
        view.__name__ = path.removeprefix("/").replace("-", "_")
        return view

    def _user(self) -> object:
        if self._find_user is None:
            _logger.warning(
                "nobody may join: no function for the user is registered with Broadcasting.user()"
            )
            return None
        return current_app.ensure_sync(self._find_user)()

    def _list_rules(self) -> None:
        """List the rules that say who may join which channel."""
        lines = listing(self.manager.rules, width=get_terminal_size().columns)
        if not lines:
            raise ClickException(NO_RULES)
        echo("\n".join(lines))
        try:
            self.manager.rules.check()
        except ConfigurationError as error:
            raise ClickException(str(error)) from error


def _keep_auth_request(_endpoint: str | None, _arguments: dict[str, Any] | None) -> None:
    """Read the request before anything else does, such as the CSRF protection, which parses the form."""
    asked = auth_request(request.environ)
    again = {"wsgi.input": BytesIO(asked.body), "CONTENT_LENGTH": str(len(asked.body))}
    request.environ.update({_ASKED: asked, **again})


def _check_once(rules: ChannelRules) -> Callable[[], None]:
    """Return what checks *rules* when the application is complete, of which Flask tells nobody."""
    checked = False

    def check() -> None:
        nonlocal checked
        if not checked:
            rules.check()
            checked = True

    return check

"""The user's handle: drivers by name, and the verbs that send events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from enum import Enum
from functools import partial
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from broadcaster._spans import spans_if
from broadcaster.answers import Answer, answer_channels, answer_user
from broadcaster.auth_requests import AuthRequest
from broadcaster.authorization import Authorization
from broadcaster.config import DriverConfig, Settings
from broadcaster.dispatcher import Dispatcher
from broadcaster.drivers.base import Driver
from broadcaster.drivers.failover import FailoverDriver
from broadcaster.drivers.kinds import DriverFactory, factory_of, known_kinds
from broadcaster.drivers.local import LocalDriver, LocalServer
from broadcaster.drivers.signers import EchoServerSigner, NoSigner, PusherSigner, Signer
from broadcaster.drivers.stack import StackDriver
from broadcaster.encryption import master_key
from broadcaster.errors import ConfigurationError, named, suggestion
from broadcaster.events import Broadcastable, Via, text_of
from broadcaster.queues.base import Queue
from broadcaster.queues.kinds import QueueFactory, make_queue
from broadcaster.rules import ChannelRules
from broadcaster.rules.calls import Steps, ToThread, arun, run
from broadcaster.signing import Credentials
from broadcaster.transactions import Finder

__all__ = ["BroadcastManager"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


class BroadcastManager:
    """Sends events through named drivers, and lets browsers join channels by its `rules`.

    *settings* say which drivers there are; without them everything goes to the log. *server* is the
    embedded server that the `local` driver publishes on. *queue* makes a queue in place of the settings'
    one, at once: it gets the manager, as in `partial(CeleryQueue, app=app)`. Close it with `close()`,
    with `aclose()` on every event loop that sent through it, or by using it as a context manager.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        server: LocalServer | None = None,
        queue: QueueFactory | None = None,
    ) -> None:
        settings = settings or Settings()
        self.default = settings.default
        self._spans = spans_if(settings.tracing)
        self.dispatcher = Dispatcher(self, span=self._spans.sent)
        self.rules = ChannelRules()
        self.to_thread: ToThread = asyncio.to_thread
        self._configured = {**settings.spare, **settings.drivers}
        self._factories: dict[str, DriverFactory] = {
            "failover": partial(self._grouped, FailoverDriver),
            "local": _needs_server if server is None else partial(LocalDriver, server),
            "stack": partial(self._grouped, StackDriver),
        }
        self._drivers: dict[str, Driver] = {}
        self._making: list[str] = []  # guarded by the lock
        self._authorization = Authorization(self.rules, self._signer, sender=self)
        self._queue_config = settings.queue
        self._lock = threading.RLock()
        self._queue = None if queue is None else queue(self)

    @classmethod
    def from_env(
        cls,
        env_file: str | Path | None = None,
        *,
        server: LocalServer | None = None,
        queue: QueueFactory | None = None,
    ) -> BroadcastManager:
        """Read `Settings.from_env()`: `BROADCAST_DRIVER=log|null|local|...` chooses the driver."""
        return cls(Settings.from_env(env_file), server=server, queue=queue)

    @classmethod
    def from_toml(
        cls, path: str | Path, *, server: LocalServer | None = None, queue: QueueFactory | None = None
    ) -> BroadcastManager:
        """Read `Settings.from_toml()`."""
        return cls(Settings.from_toml(path), server=server, queue=queue)

    @classmethod
    def from_dict(
        cls,
        content: Mapping[str, Any],
        *,
        server: LocalServer | None = None,
        queue: QueueFactory | None = None,
    ) -> BroadcastManager:
        """Read `Settings.from_dict()`."""
        return cls(Settings.from_dict(content), server=server, queue=queue)

    def send(self, event: Broadcastable, *, to_others: bool = False, via: Via = None) -> None:
        """Send one event and return when its drivers have delivered it.

        With *to_others* the connection that the request in progress came from is left out; see
        `current_socket()`. *via* names the drivers, instead of the event's own and of the default one.
        An event that waits for a commit is handed over instead; see `follow()`.
        Raises `UnencodableData`, `InvalidChannelName`, `ConfigurationError` or `DeliveryError`.
        """
        if plan := self.dispatcher.plan(event, to_others=to_others, via=via):
            self.dispatcher.carry(self.dispatcher.defer((plan,)))

    async def asend(self, event: Broadcastable, *, to_others: bool = False, via: Via = None) -> None:
        """Like `send()`, without blocking the event loop."""
        if plan := self.dispatcher.plan(event, to_others=to_others, via=via):
            await self.dispatcher.acarry(self.dispatcher.defer((plan,)))

    def send_many(self, events: Iterable[Broadcastable], *, to_others: bool = False, via: Via = None) -> None:
        """Send *events* in order, as one batch for each driver; none is sent if one cannot be encoded."""
        if plans := self.dispatcher.plans(events, to_others=to_others, via=via):
            self.dispatcher.carry(self.dispatcher.defer(plans))

    async def asend_many(
        self, events: Iterable[Broadcastable], *, to_others: bool = False, via: Via = None
    ) -> None:
        """Like `send_many()`, without blocking the event loop."""
        if plans := self.dispatcher.plans(events, to_others=to_others, via=via):
            await self.dispatcher.acarry(self.dispatcher.defer(plans))

    def follow(self, finder: Finder) -> None:
        """Let events marked `ShouldDispatchAfterCommit` wait for the transactions that *finder* returns.

        It is asked in the thread, or the task, that sends; the same one a second time changes nothing.
        """
        self.dispatcher.transactions.follow(finder)

    def channel(self, pattern: str) -> Callable[[_F], _F]:
        """Register the function or class beneath as a rule; see `ChannelRules.channel()`."""
        return self.rules.channel(pattern)

    def authorize(self, user: object, channel: str, *, socket_id: str) -> Any:
        """Return what lets the connection *socket_id* of *user* join *channel*: the JSON that it is to get.

        *user* is whatever rules take, None being nobody; *channel* is the whole name, prefix included.
        Raises `Forbidden`, `InvalidChannelName`, `InvalidSocketId`, what a rule raises, and TypeError for a
        rule that is async.
        """
        return self._take(self._authorization.join(user, channel, socket_id))

    async def aauthorize(self, user: object, channel: str, *, socket_id: str) -> Any:
        """Like `authorize()`; a rule that is not async runs in a thread."""
        return await self._atake(self._authorization.join(user, channel, socket_id))

    def answer(self, request: AuthRequest, user: object, *, sign_in: bool = False) -> Answer:
        """Answer what Echo asks at `/broadcasting/auth`, or with *sign_in* at `/broadcasting/user-auth`.

        Raises what a rule raises, and nothing for a bad request: that is in the answer.
        """
        return self._take(self._answered(request, user, sign_in))

    async def aanswer(self, request: AuthRequest, user: object, *, sign_in: bool = False) -> Answer:
        """Like `answer()`; a rule that is not async runs in a thread."""
        return await self._atake(self._answered(request, user, sign_in))

    def driver(self, name: str | Enum | None = None) -> Driver:
        """Return the driver of that name, made on first use; None is the default one.

        Raises `ConfigurationError` for a name that is neither configured nor a known kind.
        """
        key = self.default if name is None else text_of(name)
        driver = self._drivers.get(key)
        if driver is None:
            with self._lock:
                driver = self._drivers.get(key)
                if driver is None:
                    self._drivers[key] = driver = self._make(key)
        return driver

    @property
    def queue(self) -> Queue | None:
        """What takes the events marked `ShouldQueue`, made on first use; None where `send()` delivers them.

        Raises `MissingExtra`, or `ConfigurationError` for what its engine cannot work with.
        """
        if self._queue is None and self._queue_config.kind != "sync":
            with self._lock:
                if self._queue is None:
                    self._queue = make_queue(
                        self._queue_config.kind, self, self._queue_config.options, span=self._spans.delivered
                    )
        return self._queue

    def extend(self, kind: str, factory: DriverFactory) -> None:
        """Add a kind of driver, or replace one; *factory* gets the options as keyword arguments.

        Drivers of that kind that were made before are closed.
        """
        with self._lock:
            self._factories[kind] = factory
            if self._config(kind).problem is not None:
                # Its variables were wrong for the driver that is not used any more.
                del self._configured[kind]
            # A group may hold a driver of that kind, and is made anew with the new one.
            kinds = {kind, "failover", "stack"}
            with ExitStack() as closing:
                for name in [name for name in self._drivers if self._config(name).kind in kinds]:
                    closing.callback(self._drivers.pop(name).close)

    def close(self) -> None:
        """Close every driver, also after one that fails to; sending again opens what it needs again."""
        with ExitStack() as closing:
            for driver in self._made():
                closing.callback(driver.close)
            if self._queue is not None:
                closing.callback(self._queue.close)

    async def aclose(self) -> None:
        """Like `close()`, and closes what belongs to the running event loop."""
        async with AsyncExitStack() as closing:
            for driver in self._made():
                closing.push_async_callback(driver.aclose)
            if self._queue is not None:
                closing.push_async_callback(self._queue.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _answered(self, request: AuthRequest, user: object, sign_in: bool) -> Steps[Answer]:  # noqa: FBT001
        answer = answer_user if sign_in else answer_channels
        return answer(self._authorization, request, user)

    def _take(self, steps: Steps[_T]) -> _T:
        return run(steps)

    async def _atake(self, steps: Steps[_T]) -> _T:
        return await arun(steps, to_thread=self.to_thread)

    def _signer(self) -> Signer:
        """Return what signs for the server that browsers connect to.

        A driver that is not such a server's leaves it to the variables of Pusher, where there are some.
        """
        signer = self.driver().signer
        if signer is not None and not isinstance(signer, EchoServerSigner):
            return signer
        options = self._config("pusher").options
        if {"key", "secret"} <= options.keys():
            key = master_key(options.get("encryption_master_key"))
            return PusherSigner(Credentials(options["key"], options["secret"]), key)
        return signer or NoSigner()

    def _made(self) -> list[Driver]:
        with self._lock:
            return list(self._drivers.values())

    def _config(self, name: str) -> DriverConfig:
        return self._configured.get(name) or DriverConfig(name)

    def _make(self, name: str) -> Driver:
        config = self._config(name)
        if config.problem is not None:
            raise ConfigurationError(config.problem)
        factory = self._factories.get(config.kind) or factory_of(config.kind)
        if factory is None:
            raise ConfigurationError(self._unknown(name, config.kind))
        try:
            signature(factory).bind(**config.options)
        except TypeError as error:
            # It names an option, and never its value, which may be a secret.
            raise ConfigurationError(f"driver {name!r}: {error}; given: {named(config.options)}") from None
        if name in self._making:
            circle = " -> ".join([*self._making[self._making.index(name) :], name])
            raise ConfigurationError(f"driver {name!r} is made of itself: {circle}")
        self._making.append(name)
        try:
            return factory(**config.options)
        except Exception as error:
            error.add_note(f"while making the driver {name!r}")
            raise
        finally:
            self._making.pop()

    def _grouped(self, group: Callable[..., Driver], *, drivers: Iterable[str], **options: Any) -> Driver:
        """Make a driver out of others; a member that cannot be made is told now, not when it is needed."""
        return group({name: self.driver(name) for name in drivers}, **options)

    def _unknown(self, name: str, kind: str) -> str:
        known = {*self._configured, *self._factories, *known_kinds()} - {name}
        what = (
            f"no driver named {name!r}" if kind == name else f"driver {name!r} has the unknown kind {kind!r}"
        )
        return f"{what}{suggestion(kind, known)}; known: {named(known)}"


def _needs_server(**_options: Any) -> Driver:
    raise ConfigurationError(
        "driver 'local' needs a server in this process; pass it as BroadcastManager(server=...)"
    )

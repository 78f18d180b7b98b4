"""Connections to Redis, blocking and not.

It works on the client's connections and leaves its pools and commands aside. Those repeat a command whose
answer was lost, which publishes twice, or else cannot tell it from one that was never sent.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from broadcaster.drivers._loops import PerLoop
from broadcaster.drivers._redis_flow import Answers, Failure, Flow, Node, Questions, Role
from broadcaster.drivers._redis_options import Login
from broadcaster.drivers._redis_package import TROUBLE, aredis, exceptions, redis, short
from broadcaster.drivers._redis_pool import MOST_CONNECTIONS, Connection, LoopRoom, Pool, ThreadRoom
from broadcaster.drivers._redis_wire import command
from broadcaster.drivers._waits import Waits, blocking, on_loop
from broadcaster.drivers.requests import Pause

__all__ = ["RedisClient"]

# Firewalls forget connections that are silent for longer than this.
_MOST_IDLE_SECONDS = 30.0

# Refusals that say nothing about the message.
_PASSING = (
    exceptions.BusyLoadingError,
    exceptions.ClusterDownError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)


class RedisClient:
    """Carries flows out over kept connections: some for threads, and some for each event loop.

    Belongs to the process that made it.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._threads = _Links(login, is_blocking=True)
        self._loops = PerLoop(self._opened)

    def run(self, flow: Flow) -> None:
        """Carry *flow* out, blocking."""
        blocking(self._threads.follow(flow))

    async def arun(self, flow: Flow) -> None:
        """Carry *flow* out on the running event loop."""
        await on_loop((await self._loops.value()).follow(flow))

    def close(self) -> None:
        """Close the connections that threads use."""
        blocking(self._threads.close())

    async def aclose(self) -> None:
        """Close the connections that threads use, and those of the running event loop."""
        self.close()
        await self._loops.aclose()

    async def _opened(self) -> AsyncGenerator[_Links]:
        links = _Links(self._login, is_blocking=False)
        try:
            yield links
        finally:
            await on_loop(links.close())


class _Links:
    """The connections of threads, or of one event loop, to any number of servers."""

    def __init__(self, login: Login, *, is_blocking: bool) -> None:
        client: Any = redis if is_blocking else aredis
        self._login = login
        self._make = client.SSLConnection if login.tls else client.Connection
        self._room: Callable[[], Any] = ThreadRoom if is_blocking else LoopRoom
        self._is_spoiled = _is_spoiled_socket if is_blocking else _is_spoiled_stream
        self._sleep: Callable[[float], Any] = time.sleep if is_blocking else asyncio.sleep
        # How long to wait for one of the connections that are all in use.
        self._patience = login.connect_timeout + login.read_timeout
        self._trust: ssl.SSLContext | None = None
        self._pools: dict[Node, Pool] = {}
        self._next_sweep = 0.0

    def follow(self, flow: Flow) -> Waits[None]:
        """Carry *flow* out."""
        answers: Answers = {}
        with suppress(StopIteration):
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    yield self._sleep(step.seconds)
                else:
                    answers = yield from self._ask(step)
                step = flow.send(answers)

    def close(self) -> Waits[None]:
        """Close what is idle; what is in use closes when it is given back."""
        pools, self._pools = self._pools, {}
        in_haste, cancelled = False, None
        for pool in pools.values():
            for connection in pool.idle_since(time.monotonic()):
                try:
                    yield connection.disconnect(nowait=in_haste)
                except TROUBLE:
                    in_haste = True
                except asyncio.CancelledError as error:
                    # Nobody could find the others any more.
                    in_haste, cancelled = True, error
        if cancelled is not None:
            raise cancelled

    def _ask(self, questions: Questions) -> Waits[Answers]:
        """Write all commands, then read all replies."""
        yield from self._sweep()
        lines: list[_Line] = []
        try:
            # In one order always: of two that hold a connection each, neither waits for the other's.
            for node in sorted(questions):
                line = _Line(node, self._pool(node), len(questions[node]))
                lines.append(line)
                yield from self._write(line, questions[node])
            answers = {}
            for line in lines:
                answers[line.node] = yield from self._read(line)
            return answers
        finally:
            for line in lines:
                yield from self._give_back(line)

    def _pool(self, node: Node) -> Pool:
        pool = self._pools.get(node)
        return pool or self._pools.setdefault(node, Pool(self._room()))

    def _write(self, line: _Line, commands: list[bytes]) -> Waits[None]:
        try:
            yield from self._connect(line)
            line.written = True
            yield line.connection.send_packed_command([b"".join(commands)], check_health=False)
        except TROUBLE as error:
            line.failure = _lost(error, line)

    def _read(self, line: _Line) -> Waits[list[Any]]:
        replies: list[Any] = []
        while line.owed and line.failure is None:
            try:
                replies.append((yield line.connection.read_response()))
            except redis.ResponseError as error:
                replies.append(_refused(error, line.node))
            except TROUBLE as error:
                line.failure = _lost(error, line)
                break
            line.owed -= 1
        return replies + [line.failure] * line.owed

    def _connect(self, line: _Line) -> Waits[None]:
        line.holds_room = yield line.pool.room.acquire(timeout=self._patience)
        if not line.holds_room:
            raise redis.ConnectionError(f"all {MOST_CONNECTIONS} connections were in use for too long")
        while (kept := line.pool.take()) is not None:
            if not self._is_spoiled(kept):
                line.connection = kept
                return
            yield kept.disconnect(nowait=True)
        line.connection = self._new(line.node)
        yield line.connection.connect()
        if line.node.role is Role.MASTER:
            yield from self._check_master(line.connection)

    def _new(self, node: Node) -> Connection:
        connection = self._make(**self._login.arguments(node))
        if tls := getattr(connection, "ssl_context", None):
            # To read the system's certificates takes 20 ms, in which an event loop would stand still.
            tls.context = self._trust = self._trust or tls.get()
        return connection

    def _check_master(self, connection: Connection) -> Waits[None]:
        # A replica takes a PUBLISH without a word, and no subscriber of the master ever hears of it. A
        # sentinel that has not heard of a failover yet would send us to one.
        yield connection.send_packed_command([command(b"HELLO")], check_health=False)
        try:
            told = yield connection.read_response()
        except redis.ResponseError:
            return  # Redis 5 and older do not tell.
        if b"master" not in told:
            raise redis.ConnectionError("it is not the master any more")

    def _give_back(self, line: _Line) -> Waits[None]:
        try:
            if line.connection is None:
                return
            if line.owed or self._pools.get(line.node) is not line.pool:
                with suppress(*TROUBLE):
                    yield line.connection.disconnect(nowait=True)
            else:
                line.pool.put(line.connection)
        finally:
            if line.holds_room:
                line.pool.room.release()

    def _sweep(self) -> Waits[None]:
        """Close now and then what nobody used for long, also to servers that are gone."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _MOST_IDLE_SECONDS
        for node, pool in list(self._pools.items()):
            for connection in pool.idle_since(now - _MOST_IDLE_SECONDS):
                with suppress(*TROUBLE):
                    yield connection.disconnect(nowait=True)
            if pool.used < now - _MOST_IDLE_SECONDS:
                self._pools.pop(node, None)


@dataclass(slots=True)
class _Line:
    """A connection to *node* while it is in use, *owed* so many replies."""

    node: Node
    pool: Pool
    owed: int
    connection: Connection = None
    holds_room: bool = False
    written: bool = False
    failure: Failure | None = None


def _is_spoiled_socket(connection: Connection) -> bool:
    try:
        return bool(connection.can_read())
    except TROUBLE:
        return True


def _is_spoiled_stream(connection: Connection) -> bool:
    # The client would ask its buffer, which knows nothing while the event loop is busy or stands still.
    stream = connection._writer  # noqa: SLF001 - there is no other way to the socket
    if stream is None or stream.is_closing():
        return True
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(stream.get_extra_info("socket"), select.POLLIN)
    return bool(poll.poll(0))


def _lost(error: Exception, line: _Line) -> Failure:
    """Say why the connection of *line* failed."""
    said = short(error)
    match error:
        case exceptions.AuthenticationError():
            secret = "sentinel_password" if line.node.role is Role.SENTINEL else "username and password"
            return Failure(f"{line.node} does not let us in: {said}; check the {secret}", retryable=False)
        case exceptions.InvalidResponse():
            reason = f"{line.node} does not speak Redis: {said}; check the port, and whether it wants TLS"
            return Failure(reason, taken=line.written)
        case redis.ResponseError():
            return _refused(error, line.node)
    if isinstance(error.__context__, ssl.SSLCertVerificationError):
        reason = f"the certificate of {line.node} does not convince: {said}; its authority goes into ca_file"
        return Failure(reason, retryable=False)
    what = "no answer from" if line.written else "no connection to"
    return Failure(f"{what} {line.node}: {said}", taken=line.written)


def _refused(error: redis.ResponseError, node: Node) -> Failure:
    """Say why *node* did not do what a command says."""
    said = short(error)
    match error:
        case exceptions.MovedError():
            return Failure(f"{node} does not own the channel's slot any more", moved=True)
        case exceptions.NoPermissionError():
            help_ = "allow the user these commands and channels (ACL SETUSER)"
            return Failure(f"{node} does not permit it: {said}; {help_}", retryable=False)
    passing = isinstance(error, _PASSING) or said.startswith("BUSY ")
    return Failure(f"{node} refused: {said}", retryable=passing)

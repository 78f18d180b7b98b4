"""What every driver offers, and the two shapes that most drivers take."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from broadcaster.context import trace_headers
from broadcaster.drivers._processes import PerProcess
from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, attempts
from broadcaster.errors import note_progress
from broadcaster.messages import Message

if TYPE_CHECKING:
    from broadcaster.drivers._carrier import Carrier
    from broadcaster.drivers.signers import Signer

__all__ = ["BlockingDriver", "Driver", "HttpDriver"]


class Driver(ABC):
    """Carries messages to wherever browsers listen.

    Both verbs return when the message is handed over, and raise `DeliveryError` when it is not. One
    driver serves every thread and every event loop of the process.
    """

    name: ClassVar[str]
    """What error texts and log lines call this driver."""

    @abstractmethod
    def deliver(self, message: Message) -> None:
        """Hand *message* over, blocking until it is."""

    @abstractmethod
    async def adeliver(self, message: Message) -> None:
        """Like `deliver()`, without blocking the event loop."""

    def deliver_many(self, messages: Sequence[Message]) -> None:
        """Hand *messages* over in order; stop at the first failure, whose `delivered` says how far it got."""
        for number, message in enumerate(messages):
            try:
                self.deliver(message)
            except Exception as error:
                note_progress(error, messages, number, number + 1, by=self)
                raise

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Like `deliver_many()`, without blocking the event loop."""
        for number, message in enumerate(messages):
            try:
                await self.adeliver(message)
            except Exception as error:
                note_progress(error, messages, number, number + 1, by=self)
                raise

    @property
    def signer(self) -> Signer | None:
        """What signs for the server that browsers connect to; None where this driver has no such server."""
        return None

    def close(self) -> None:  # noqa: B027 - most drivers hold nothing
        """Give back what this driver holds; it opens again when it is used again."""

    async def aclose(self) -> None:  # noqa: B027 - most drivers hold nothing
        """Like `close()`, and gives back what the running event loop holds."""


class BlockingDriver(Driver):
    """A driver around a client that only blocks; coroutines wait for it in a thread."""

    async def adeliver(self, message: Message) -> None:
        """Run `deliver()` in a thread."""
        await asyncio.to_thread(self.deliver, message)

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Run `deliver_many()` in a thread."""
        await asyncio.to_thread(self.deliver_many, messages)

    async def aclose(self) -> None:
        """Run `close()` in a thread."""
        await asyncio.to_thread(self.close)


class HttpDriver(Driver):
    """A driver that speaks HTTP: it says which requests a message takes, and nothing else.

    Pooling, timeouts and the repetition of what failed are taken care of in both worlds.
    *connect_timeout* and *read_timeout* are in seconds; *retries* counts the attempts after the first.
    """

    remedies: ClassVar[Mapping[int | None, str]] = {}
    """What would help against a refusal, by its status, or None for no answer; it ends the error's text."""

    def __init__(self, *, connect_timeout: float = 3.0, read_timeout: float = 10.0, retries: int = 2) -> None:
        self._timeouts = (float(connect_timeout), float(read_timeout))
        self._retries = max(0, int(retries))
        self._client = PerProcess(self._opened)

    @abstractmethod
    def requests(self, message: Message) -> list[HttpRequest]:
        """Return the requests that hand *message* over, to be sent in this order."""

    def requests_for_many(self, messages: Sequence[Message]) -> Iterable[HttpRequest]:
        """Return the requests that hand *messages* over, for a peer that takes several in one request.

        Those that are made one by one are each sent before the next is made. Each says how many messages it
        `completes`, so that what was handed over before a failure need not be repeated.
        """
        made: list[HttpRequest] = []
        for number, message in enumerate(messages):
            requests = self.requests(message)
            made += (replace(request, completes=number) for request in requests)
            if requests:
                made[-1] = replace(made[-1], completes=number + 1)
        return made

    def check(self, response: HttpResponse) -> None:
        """Raise `DeliveryError` for a 2xx answer that did not come from the peer; any counts as its own."""

    def deliver(self, message: Message) -> None:
        """Send the requests one after another."""
        for request in self.requests(message):
            self.ask(request)

    async def adeliver(self, message: Message) -> None:
        """Send the requests one after another."""
        for request in self.requests(message):
            await self.aask(request)

    def deliver_many(self, messages: Sequence[Message]) -> None:
        """Send the requests for all *messages* one after another; stop at the first failure."""
        done, tried = 0, None
        try:
            for request in self.requests_for_many(messages):
                # What takes several requests is complete with the last one.
                tried = max(done + 1, request.completes)
                self.ask(request)
                done, tried = max(done, request.completes), None
        except Exception as error:
            note_progress(error, messages, done, tried, by=self)
            raise

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Send the requests for all *messages* one after another; stop at the first failure."""
        done, tried = 0, None
        try:
            for request in self.requests_for_many(messages):
                # What takes several requests is complete with the last one.
                tried = max(done + 1, request.completes)
                await self.aask(request)
                done, tried = max(done, request.completes), None
        except Exception as error:
            note_progress(error, messages, done, tried, by=self)
            raise

    def ask(self, request: HttpRequest) -> HttpResponse:
        """Send one request, again where that is safe; return the answer or raise `DeliveryError`."""
        response = self._client.value.run(self._attempts(request))
        self.check(response)
        return response

    async def aask(self, request: HttpRequest) -> HttpResponse:
        """Send one request, again where that is safe; return the answer or raise `DeliveryError`."""
        response = await self._client.value.arun(self._attempts(request))
        self.check(response)
        return response

    def close(self) -> None:
        """Close the pooled connections of the blocking side."""
        if client := self._client.held:
            client.close()

    async def aclose(self) -> None:
        """Close the pooled connections of the blocking side and of the running event loop.

        What is in flight on that loop may land first, for the time of the timeouts.
        """
        if client := self._client.held:
            await client.aclose()

    def _attempts(self, request: HttpRequest) -> Attempts:
        if traced := trace_headers.get():
            request = replace(request, headers={**request.headers, **traced})
        return attempts(request, driver=self.name, retries=self._retries, remedies=self.remedies)

    def _opened(self) -> Carrier:
        """Make what carries the requests of one process."""
        from broadcaster.drivers._http import HttpClient

        connect, read = self._timeouts
        return HttpClient(connect_timeout=connect, read_timeout=read)

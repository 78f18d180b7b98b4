"""Delivers webhooks: what happens on a server, told to the applications that asked for it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from broadcaster.protocol.app import App
from broadcaster.protocol.effects import Notify
from broadcaster.protocol.webhooks import Pause, Webhook, encode_event, payload
from broadcaster.server.webhook_buffer import Waiting, WebhookBuffer
from broadcaster.server.webhook_post import Poster

__all__ = ["Webhooks"]

_logger = logging.getLogger("broadcaster.server")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LOSSES_TOLD_EVERY = 60.0


class Webhooks:
    """Takes news without waiting; an application's requests are sent in order, one at a time for each URL.

    Events wait in the file at *path*, or in memory. Those that nobody took are logged, and dropped. Bad news
    is held back for some seconds, unless without *pauses* it comes when it is sure.
    """

    def __init__(
        self, path: Path | None = None, *, first_pause: float = _FIRST_PAUSE, pauses: bool = True
    ) -> None:
        self._buffer = WebhookBuffer(path)
        self._kept = self._buffer.counts()
        self._poster = Poster()
        self._first_pause = first_pause
        self._has_pauses = pauses
        self._pauses: dict[str, Pause] = {}
        self._lanes: dict[str, dict[str, _Lane]] = {}
        self._fresh: deque[Waiting] = deque()
        self._written = asyncio.Event()
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self.tallies: dict[str, Counter[str]] = {}
        """For each application how many events were `sent` and `dropped`, and how many requests `failed`."""

    @property
    def waiting(self) -> dict[str, int]:
        """How many events of each application wait."""
        return {app_id: sum(lane.size for lane in lanes.values()) for app_id, lanes in self._lanes.items()}

    def update(self, apps: Iterable[App]) -> None:
        """Go on with the webhooks of *apps*."""
        wanted = {app.id: app for app in apps if app.webhooks}
        self._pauses = {app_id: self._pauses.get(app_id) or Pause() for app_id in wanted}
        self.tallies = {app_id: self.tallies.get(app_id) or Counter() for app_id in wanted}
        old, self._lanes = self._lanes, {}
        for app_id, app in wanted.items():
            before = old.get(app_id, {})
            self._lanes[app_id] = {
                webhook.url: self._lane(before.get(webhook.url), app, webhook) for webhook in app.webhooks
            }
        if self._tasks:
            self._run_lanes()

    def start(self) -> None:
        """Start delivering, on the running event loop."""
        self._tasks[self] = asyncio.create_task(self._write(), name="broadcaster-webhooks")
        self._run_lanes()

    def tell(self, app_id: str, news: Notify, now: float) -> None:
        """Take *news* of an application; it is not waited for."""
        if (pause := self._pauses.get(app_id)) is not None:
            self._enqueue(app_id, pause.take(news, now) if self._has_pauses else [news])

    def tick(self, now: float) -> None:
        """Take up what was held back long enough; call it about once a second."""
        for app_id, pause in self._pauses.items():
            self._enqueue(app_id, pause.tick(now))

    async def aclose(self, seconds: float) -> None:
        """Deliver what is there, for up to *seconds*; the rest stays in the file, or is lost and logged."""
        for app_id, pause in self._pauses.items():
            self._enqueue(app_id, pause.drain())
        lanes = [lane for lanes in self._lanes.values() for lane in lanes.values()]
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(lane.emptied.wait() for lane in lanes))
        except TimeoutError:
            for lane in lanes:
                if lane.size:
                    _logger.warning("webhook %s: events still waiting at the end: %d", lane.name, lane.size)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        await self._poster.aclose()
        await self._store()
        await self._buffer.aclose()

    def _lane(self, lane: _Lane | None, app: App, webhook: Webhook) -> _Lane:
        if lane is None:
            key = f"{app.id} {webhook.url}"
            lane = _Lane(key, self._kept.pop(key, 0), self._buffer, self._poster, self._first_pause)
        lane.app, lane.webhook, lane.tally = app, webhook, self.tallies[app.id]
        return lane

    def _run_lanes(self) -> None:
        lanes = [lane for lanes in self._lanes.values() for lane in lanes.values()]
        for gone in [key for key in self._tasks if isinstance(key, _Lane) and key not in lanes]:
            self._tasks.pop(gone).cancel()
        for lane in lanes:
            if lane not in self._tasks:
                self._tasks[lane] = asyncio.create_task(lane.run(), name="broadcaster-webhook")

    def _enqueue(self, app_id: str, news: Iterable[Notify]) -> None:
        since = time.time()
        for one in news:
            for lane in self._lanes[app_id].values():
                if lane.webhook.wants(one) and lane.takes():
                    self._fresh.append(Waiting(lane.key, since, encode_event(one)))
                    self._written.set()

    async def _write(self) -> None:
        """Move what is fresh into the buffer; a disk that is full is waited for."""
        await self._buffer.keep(lane.key for lanes in self._lanes.values() for lane in lanes.values())
        while True:
            await self._written.wait()
            self._written.clear()
            try:
                await self._store()
            except sqlite3.Error as error:
                _logger.error("webhooks cannot be kept: %s", error)  # noqa: TRY400 - it says all
                await asyncio.sleep(_FIRST_PAUSE)
                self._written.set()

    async def _store(self) -> None:
        fresh = list(self._fresh)
        if not fresh:
            return
        await self._buffer.add(fresh)
        for _ in fresh:
            self._fresh.popleft()
        for lanes in self._lanes.values():
            for lane in lanes.values():
                lane.more.set()


class _Lane:
    """The way to one URL of one application."""

    app: App
    webhook: Webhook
    tally: Counter[str]

    def __init__(
        self, key: str, size: int, buffer: WebhookBuffer, poster: Poster, first_pause: float
    ) -> None:
        self.key = key
        self.size = size
        self.more = asyncio.Event()
        self.emptied = asyncio.Event()
        self._buffer = buffer
        self._poster = poster
        self._first_pause = first_pause
        self._lost = 0
        self._told = 0.0
        self.more.set()
        if not size:
            self.emptied.set()

    @property
    def name(self) -> str:
        """The application and the host, for the log; the rest of the URL may be a secret."""
        return f"of app {self.app.id} at {urlsplit(self.webhook.url).hostname}"

    def takes(self) -> bool:
        """Count one more event, unless there are too many."""
        if self.size >= self.webhook.waiting:
            self._lose(1, "too many wait")
            return False
        self.size += 1
        self.emptied.clear()
        return True

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            await self.more.wait()
            self.more.clear()
            try:
                while waiting := await self._buffer.first(self.key, self.webhook.events_per_request):
                    await self._deliver(waiting)
                    await self._buffer.remove(waiting)
                    self._shrink(len(waiting))
            except sqlite3.Error as error:
                _logger.error("webhook %s: %s", self.name, error)  # noqa: TRY400 - it says all
                await asyncio.sleep(self._first_pause)
                self.more.set()

    async def _deliver(self, waiting: list[Waiting]) -> None:
        """Post until it is taken, or too old; the body stays the same, its signature is today's."""
        body = payload([one.event for one in waiting], int(time.time() * 1000))
        pause = self._first_pause
        while problem := await self._poster.post(self.webhook.url, body, self._headers(body)):
            self.tally["failed"] += 1
            if time.time() - waiting[-1].since > self.webhook.retry_seconds:
                self._lose(len(waiting), problem)
                return
            _logger.warning(
                "webhook %s: %s; next try in %.0f s, events: %d",
                self.name, problem, pause, len(waiting),
            )  # fmt: skip
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.tally["sent"] += len(waiting)

    def _headers(self, body: bytes) -> dict[str, str]:
        credentials = self.app.credentials
        return {
            "User-Agent": "broadcaster-webhooks",
            **self.webhook.headers,
            # Nothing but this: some receivers refuse a charset.
            "Content-Type": "application/json",
            "X-Pusher-Key": credentials.key,
            "X-Pusher-Signature": credentials.body_signature(body),
        }

    def _shrink(self, count: int) -> None:
        self.size -= count
        if self.size <= 0:
            self.emptied.set()

    def _lose(self, count: int, reason: str) -> None:
        """Count what is dropped, and say so once in a while."""
        self._lost += count
        self.tally["dropped"] += count
        now = time.monotonic()
        if self._lost and now - self._told >= _LOSSES_TOLD_EVERY:
            _logger.error("webhook %s: events dropped: %d (%s)", self.name, self._lost, reason)
            self._lost, self._told = 0, now

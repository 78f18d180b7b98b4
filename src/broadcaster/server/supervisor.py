"""Keeps the workers of a server running, and replaces them; it knows processes and signals only."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from broadcaster.errors import ConfigurationError
from broadcaster.server.pid_file import Restart
from broadcaster.server.workers import Place, Worker

__all__ = ["Supervisor"]

_logger = logging.getLogger("broadcaster.server")

_START_SECONDS = 60.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_STEADY_SECONDS = 30.0
_MARGIN = 2.0


class Supervisor:
    """Runs *command* in each of the *places*, and again where it ends.

    It holds the sockets of the places and accepts nothing itself: a worker that dies leaves its queue of
    connections to the one that comes after it, and the port is never without a listener. *grace* is how many
    seconds a worker takes at most to end, *drain* over how many one that is replaced sends its clients away,
    *patience* how long one that takes its place may take until it hears the other nodes.
    """

    def __init__(
        self,
        command: Sequence[str],
        places: Sequence[Place],
        *,
        grace: float,
        drain: float,
        patience: float = 30.0,
    ) -> None:
        self._command = command
        self._places = places
        self._grace = grace
        self._drain = drain
        self._patience = patience
        self._workers: dict[int, Worker] = {}
        """Who serves in each place, or did until just now."""
        self._running: set[Worker] = set()
        self._pauses: dict[int, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._restart = asyncio.Event()

    async def run(self, ready: Callable[[list[str]], None], report: Callable[[Restart], None]) -> None:
        """Run until SIGINT or SIGTERM; a second one ends everything at once, and SIGHUP goes to all workers.

        *ready* gets what the workers say for the log, once all of them listen. SIGUSR2 replaces them, one by
        one; *report* hears how that goes. Raises `ConfigurationError` when one cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._told_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._signal, signal.SIGHUP)
        loop.add_signal_handler(signal.SIGUSR2, self._restart.set)
        try:
            said: dict[int, list[str]] = {}
            await self._until_stopped(self._start(said))
            if not self._stop.is_set():
                ready(list(dict.fromkeys(line for number in sorted(said) for line in said[number])))
                self._do(self._replace_when_told(report))
                await self._stop.wait()
        finally:
            await self._end()

    async def _start(self, said: dict[int, list[str]]) -> None:
        # The first one alone: what is wrong with the configuration is told once.
        first, *others = self._places
        await self._serve(first, said)
        await asyncio.gather(*(self._serve(place, said) for place in others))

    async def _serve(self, place: Place, said: dict[int, list[str]]) -> None:
        worker = await self._spawn(place)
        said[place.number] = await worker.hears("listening", seconds=_START_SECONDS)
        self._install(worker)

    async def _spawn(self, place: Place) -> Worker:
        worker = await Worker.start(self._command, place)
        self._running.add(worker)
        return worker

    def _install(self, worker: Worker) -> None:
        self._workers[worker.place.number] = worker
        self._do(self._watch(worker))

    async def _watch(self, worker: Worker) -> None:
        """Start another one where *worker* ends, unless another one has taken its place before."""
        loop = asyncio.get_running_loop()
        place, start = worker.place, loop.time()
        await worker.ended()
        self._running.discard(worker)
        if loop.time() - start > _STEADY_SECONDS:
            self._pauses.pop(place.number, None)
        while self._workers[place.number] is worker:
            pause = self._pauses.get(place.number, _FIRST_PAUSE)
            self._pauses[place.number] = min(2 * pause, _LONGEST_PAUSE)
            _logger.error("%s; the next one starts in %.1f s", worker.end, pause)
            await asyncio.sleep(pause)
            with suppress(OSError):
                following = await self._spawn(place)
                if self._workers[place.number] is worker:
                    self._install(following)
                else:
                    self._do(self._dismiss(following))

    async def _replace_when_told(self, report: Callable[[Restart], None]) -> None:
        for number in count(1):
            await self._restart.wait()
            # Whoever asks from now on asks for one more.
            self._restart.clear()
            try:
                for place in self._places:
                    said = f"replacing worker {place.number} of {len(self._places)}"
                    report(Restart(number, "running", said))
                    await self._replace(place)
            except (ConfigurationError, OSError) as error:
                report(Restart(number, "failed", f"{error}; what ran before goes on"))
            else:
                report(Restart(number, "done", f"workers replaced: {len(self._places)}"))

    async def _replace(self, place: Place) -> None:
        """Start a worker, let it serve once it hears the others, and then end the one that was there."""
        worker = await self._spawn(place)
        try:
            await worker.hears("listening", seconds=self._patience)
            await worker.hears("ready", seconds=self._patience)
        except ConfigurationError:
            self._do(self._dismiss(worker))
            raise
        before = self._workers[place.number]
        self._install(worker)
        await self._dismiss(before)

    async def _dismiss(self, worker: Worker) -> None:
        """Let *worker* send its clients to whoever shares its place, and end."""
        worker.leave(self._drain)
        end = asyncio.create_task(worker.ended())
        if not (await asyncio.wait([end], timeout=self._grace + _MARGIN))[0]:
            _logger.error("%s killed, which had not ended after the grace period", worker)
            worker.signal(signal.SIGKILL)
            await end
        self._running.discard(worker)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._running:
            worker.signal(number)

    def _told_to_stop(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            # Whoever says it twice does not want to wait.
            self._signal(signal.SIGKILL)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stop.set()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in self._places:
            for one in (*place.port, *place.metrics):
                one.close()
        self._signal(signal.SIGTERM)
        ends = [asyncio.create_task(worker.ended()) for worker in self._running]
        if ends:
            _, late = await asyncio.wait(ends, timeout=self._grace + _MARGIN)
            if late:
                _logger.error("workers killed, which had not ended after the grace period: %d", len(late))
                self._signal(signal.SIGKILL)
                await asyncio.wait(late)

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work*, or give it up when a signal comes first."""
        task, stopped = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
        finally:
            for one in (task, stopped):
                one.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

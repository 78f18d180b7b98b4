"""Running a server until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from broadcaster.server.lifecycle import Server, new_event_loop
from broadcaster.server.supervision import Supervision

__all__ = ["serve"]

_ASK_SECONDS = 0.05


def serve(
    server: Server,
    *,
    grace: float = 5.0,
    drain: float | None = None,
    ready: Callable[[Server], None],
    supervision: Supervision | None = None,
) -> None:
    """Run *server* until SIGINT or SIGTERM, then stop it within *grace* seconds; SIGHUP reloads it.

    For *drain* see `Server.stop()`. A second signal ends the process at once. *ready* is called once the
    server listens. A worker has a *supervision*: it stops as well when another one has taken its place, and
    when its supervisor is gone.
    """

    async def run() -> None:
        stop = _Stop(drain)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.signal, number)
        await server.start()
        tasks: set[asyncio.Task[object]] = set()

        def reload() -> None:
            tasks.add(task := loop.create_task(server.reload()))
            task.add_done_callback(tasks.discard)

        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, reload)
        try:
            ready(server)
            if supervision is not None:
                supervision.hear(stop.replaced, stop.wanted.set)
                tasks.add(loop.create_task(_tell_when_ready(server, supervision)))
            await stop.wanted.wait()
        finally:
            if stop.is_replaced and server.admin is not None:
                # The other one answers there now, and counts for itself.
                await server.admin.aclose()
            await server.stop(grace, drain=stop.drain)
            for task in tasks:
                task.cancel()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


class _Stop:
    """Whether the server is to stop, and over how many seconds its clients are sent away then."""

    def __init__(self, drain: float | None) -> None:
        self.drain = drain
        self.wanted = asyncio.Event()
        self.is_replaced = False
        self._signals = 0

    def signal(self, number: signal.Signals) -> None:
        self._signals += 1
        if self._signals > 1:
            # Whoever says it twice does not want to wait.
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.wanted.set()

    def replaced(self, seconds: float) -> None:
        if not self.wanted.is_set():
            self.drain, self.is_replaced = seconds, True
            self.wanted.set()


async def _tell_when_ready(server: Server, supervision: Supervision) -> None:
    while not server.is_ready:  # noqa: ASYNC110 - who hears whom has no event
        await asyncio.sleep(_ASK_SECONDS)
    supervision.say(ready=True)

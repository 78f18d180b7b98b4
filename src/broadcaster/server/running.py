"""Running a server until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from broadcaster.server.lifecycle import Server, new_event_loop

__all__ = ["serve"]


def serve(
    server: Server, *, grace: float = 5.0, drain: float | None = None, ready: Callable[[Server], None]
) -> None:
    """Run *server* until SIGINT or SIGTERM, then stop it within *grace* seconds; SIGHUP reloads it.

    For *drain* see `Server.stop()`. A second signal ends the process at once. *ready* is called once the
    server listens.
    """

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, stop, number)
        await server.start()
        reloads: set[asyncio.Task[bool]] = set()

        def reload() -> None:
            reloads.add(task := loop.create_task(server.reload()))
            task.add_done_callback(reloads.discard)

        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, reload)
        try:
            ready(server)
            await stop.wait()
        finally:
            await server.stop(grace, drain=drain)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


def _stop(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        # Whoever says it twice does not want to wait.
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    stop.set()

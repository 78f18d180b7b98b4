"""`broadcaster work`: delivers what waits in the queue."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from broadcaster.cli._application import AppOption, EnvFileOption, opened, queue_of
from broadcaster.cli._progress import Lines, Progress
from broadcaster.cli._reload import run_reloaded
from broadcaster.cli._shown import has_terminal
from broadcaster.queues.working import Worker, WorkOptions

__all__ = ["work"]


def work(
    *,
    queue: Annotated[
        str, typer.Option(help="Queues to take from, with commas between: the first goes before all else.")
    ] = "default",
    concurrency: Annotated[
        int, typer.Option(help="How many batches are delivered at the same time.", min=1, max=1_000)
    ] = 1,
    once: Annotated[
        bool, typer.Option("--once", help="Deliver one batch, if one is ready, and end.")
    ] = False,
    stop_when_empty: Annotated[
        bool, typer.Option("--stop-when-empty", help="End when nothing is ready.")
    ] = False,
    max_jobs: Annotated[int | None, typer.Option(help="End after so many.", min=1)] = None,
    max_time: Annotated[float | None, typer.Option(help="End after so many seconds.", min=0.1)] = None,
    grace: Annotated[
        float, typer.Option(help="Seconds to finish what it holds, after a signal.", min=0.0)
    ] = 30.0,
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again when a Python file below this folder changes.")
    ] = False,
    app: AppOption = None,
    env_file: EnvFileOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more than what goes wrong.")] = False,
) -> None:
    """Deliver what waits in the queue, until Ctrl-C; a line of JSON for each job where this is no terminal.

    SIGINT or SIGTERM lets it finish what it holds; a second one ends it at once, and others take that over
    when its lease is over.
    """
    if reload:
        arguments = [argument for argument in sys.argv[1:] if argument != "--reload"]
        raise typer.Exit(run_reloaded([sys.executable, "-m", "broadcaster", *arguments], Path.cwd()))
    options = WorkOptions(
        queues=tuple(dict.fromkeys(name for part in queue.split(",") if (name := part.strip()))),
        concurrency=concurrency,
        once=once,
        stop_when_empty=stop_when_empty,
        max_jobs=max_jobs,
        max_seconds=max_time,
        grace=grace,
    )
    if not options.queues:
        raise typer.BadParameter("name a queue", param_hint="--queue")
    console = Console(stderr=False, highlight=False)
    _log(verbose=verbose, terminal=has_terminal())
    shown = Progress(console) if has_terminal() else Lines()
    with opened(app, env_file) as manager:
        queue_to_work_on = queue_of(manager)
        # What is wrong with it is told once, before each event is given up for it.
        manager.driver()
        worker = queue_to_work_on.worker(options, report=shown.report)
        with shown, _stopped_by_signals(worker):
            typer.echo(f"broadcaster: working on {', '.join(options.queues)}; Ctrl-C ends it", err=True)
            worker.run()
    _leave()


def _leave() -> None:
    """End the process here where threads that were left behind would keep it from ending."""
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    stopping = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            os._exit(128 + number)
        stopping = True
        worker.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(*, verbose: bool, terminal: bool) -> None:
    # On a terminal it goes above the line of progress, which has a handler of its own.
    handlers = [logging.NullHandler()] if terminal else [logging.StreamHandler()]
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="broadcaster: %(message)s", handlers=handlers)

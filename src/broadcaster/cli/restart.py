"""`broadcaster restart`: new workers for a server that goes on serving."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from broadcaster.errors import BroadcastError
from broadcaster.server.pid_file import Restart, read_pid_file, usual_pid_file

__all__ = ["restart"]

_LOOK_SECONDS = 0.1


def restart(
    *,
    port: Annotated[int, typer.Option(help="The port that it serves.", min=1, max=65535)] = 6001,
    pidfile: Annotated[
        Path | None, typer.Option(help="The file that it was told with --pidfile.", show_default=False)
    ] = None,
    timeout_seconds: Annotated[
        float, typer.Option(help="Give up when nothing has happened for so long.", min=1)
    ] = 120,
) -> None:
    """Replace the workers of `broadcaster serve --workers` one by one; the port is served all the time.

    New workers are new processes: they run the code that is installed, and the configuration as it is.
    """
    if sys.platform == "win32":
        raise BroadcastError("there are no workers on Windows")
    path = usual_pid_file(port) if pidfile is None else pidfile
    deadline = time.monotonic() + timeout_seconds
    pid, before = _look(path, deadline)
    try:
        os.kill(pid, signal.SIGUSR2)
    except OSError as error:
        raise BroadcastError(f"cannot signal the server, process {pid}: {error.strerror}") from error
    now = before
    # One that runs already may have begun before what is to be served now was there: it is the next one then.
    while now.number <= before.number or now.state == "running":
        if time.monotonic() > deadline:
            raise BroadcastError(
                f"nothing has happened for {timeout_seconds:g} seconds; see the server's log"
            )
        time.sleep(_LOOK_SECONDS)
        last, now = now, _look(path, deadline)[1]
        if now != last:
            deadline = time.monotonic() + timeout_seconds
            if now.state == "running":
                typer.echo(f"broadcaster: {now.said}")
    if now.state == "failed":
        raise BroadcastError(now.said)
    typer.echo(f"broadcaster: {now.said}")


def _look(path: Path, deadline: float) -> tuple[int, Restart]:
    """Return what the file says, once it says something."""
    while (found := read_pid_file(path)) is None:
        if time.monotonic() > deadline:
            raise BroadcastError(f"the server that wrote {str(path)!r} does not start, or says nothing")
        time.sleep(_LOOK_SECONDS)
    return found

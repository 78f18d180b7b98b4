"""An example application to look at: `broadcaster demo`."""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from contextlib import suppress

from rich.console import Console

from broadcaster.demo._running import running
from broadcaster.demo.check import check

__all__ = ["check", "run"]


def run(*, port: int, app_port: int, open_browser: bool) -> None:
    """Show the demo until Ctrl-C; where a port is taken, any free one takes its place."""
    console = Console(highlight=False, soft_wrap=True)
    with running(port=_free(port), app_port=_free(app_port)) as demo, suppress(KeyboardInterrupt):
        console.print(f"\n  [bold]broadcaster demo[/]  [bold cyan]{demo.url}[/]")
        console.print(f"  [dim]the WebSocket server is on port {demo.port}[/]\n")
        if open_browser:
            webbrowser.open(demo.url)
        console.print("  Open the address in two windows, and type in one of them.")
        console.print("  [dim]Press Ctrl-C to stop.[/]\n")
        _wait_for_interrupt()
    console.print("  Stopped.")


def _wait_for_interrupt() -> None:
    never = threading.Event()
    # With a timeout, because on Windows a wait without one does not notice Ctrl-C.
    while not never.wait(1.0):
        pass


def _free(port: int) -> int:
    """Return *port*, or 0 when another program listens there: a demo must not fail on that."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return 0
    return port

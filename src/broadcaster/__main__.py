"""The command line: `broadcaster`, or `python -m broadcaster`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from broadcaster.errors import BroadcastError

__all__ = ["main"]


def main() -> None:
    """Run the command line; an error that we raise on purpose is one line, and exit status 1."""
    try:
        with _ended_by_signals() if sys.argv[1:2] == ["work"] else nullcontext():
            from broadcaster.cli import app

            app()
    except BroadcastError as error:
        sys.exit(f"broadcaster: {error}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End well at a signal while the block lasts, or until somebody else takes care of signals."""

    def end(*_: object) -> None:
        os._exit(0)

    # A worker that is still being loaded holds nothing. Whoever stops it need not know how far it has come.
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()

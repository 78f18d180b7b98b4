"""The command line: `broadcaster`, or `python -m broadcaster`."""

from __future__ import annotations

import sys

from broadcaster.errors import BroadcastError

__all__ = ["main"]


def main() -> None:
    """Run the command line; an error that we raise on purpose is one line, and exit status 1."""
    try:
        from broadcaster.cli import app

        app()
    except BroadcastError as error:
        sys.exit(f"broadcaster: {error}")


if __name__ == "__main__":
    main()

"""What `broadcaster serve` writes to stderr, and in which form."""

from __future__ import annotations

import logging
from enum import StrEnum

import typer

from broadcaster.server.logs import JsonFormatter, Redaction, TextFormatter

__all__ = ["LogFormat", "log_to_stderr", "say"]

_logger = logging.getLogger("broadcaster.cli")


class LogFormat(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


def log_to_stderr(log_format: LogFormat, redaction: Redaction, *, worker: int | None, verbose: bool) -> None:
    """Send the log of this process there; among several, a *worker* has a number."""
    handler = logging.StreamHandler()
    formatter = JsonFormatter if log_format is LogFormat.JSON else TextFormatter
    handler.setFormatter(formatter(redaction, worker=worker))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    # Whether it is verbose or not, it says where it listens.
    _logger.setLevel(logging.INFO)


def say(log_format: LogFormat, text: str) -> None:
    """Tell whoever started it, however little is logged."""
    if log_format is LogFormat.JSON:
        _logger.info(text)
    else:
        typer.echo(f"broadcaster: {text}", err=True)

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


def log_to_stderr(log_format: LogFormat, redaction: Redaction, *, verbose: bool) -> None:
    """Send the log of this process there."""
    handler = logging.StreamHandler()
    json = log_format is LogFormat.JSON
    handler.setFormatter(JsonFormatter(redaction) if json else TextFormatter(redaction))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    # Whether it is verbose or not, it says where it listens.
    _logger.setLevel(logging.INFO)


def say(log_format: LogFormat, text: str) -> None:
    """Tell whoever started it, however little is logged."""
    if log_format is LogFormat.JSON:
        _logger.info(text)
    else:
        typer.echo(f"broadcaster: {text}", err=True)

"""How `broadcaster serve` writes its log: as text or as JSON, and never with a secret in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from urllib.parse import quote

__all__ = ["JsonFormatter", "Redaction", "TextFormatter"]

_HIDDEN = "***"

_SHORTEST = 4
"""A secret that is shorter hides nothing, and would be found in every other word."""

_NAMES = r"(?:authorization|cookie|passwd|password|secret|signature|token)"
_FIELD = rf"(?:auth|auth_signature|[\w-]{{0,60}}{_NAMES}\w{{0,60}})"

# As long as it is quoted, however deep; what was cut short ends with the line.
_QUOTED = r"b?(?P<escape>\\{0,8})(?P<quote>['\"]).*?(?:(?<!\\)(?P=escape)(?P=quote)|$)"

_RULES: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), instead)
    for pattern, instead in (
        # User and password of a URL; either may be the secret, and a password may hold an @.
        (r"(\b[a-z][a-z0-9+.-]{0,20}://)\S{0,2000}@", rf"\1{_HIDDEN}@"),
        # The rest of the line, or of the quotes: it is a scheme and one word, or several.
        (
            rf"(\b(?:proxy-)?authorization\b\\{{0,8}}['\"]?\s*[:=,]\s*)(?:{_QUOTED}|[^'\"\r\n]+)",
            rf"\1{_HIDDEN}",
        ),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", rf"\1 {_HIDDEN}"),
        # name=value, as in a query, in variables, in the text of a call.
        (rf"(\b{_FIELD}\\{{0,8}}['\"]?\s*=\s*)(?:{_QUOTED}|[^\s&,;'\"]+)", rf"\1{_HIDDEN}"),
        # 'name': 'value', as in JSON and in a dict.
        (rf"(\\{{0,8}}['\"]{_FIELD}\\{{0,8}}['\"]\s*[:,]\s*){_QUOTED}", rf'\1"{_HIDDEN}"'),
        # Every signature of the protocol is one of these, wherever it stands.
        (r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", _HIDDEN),
    )
]

_SECRET_FIELD = re.compile(_FIELD, re.IGNORECASE)


class Redaction:
    """Takes secrets out of text: what looks like one, and those that *secrets* returns, each time anew."""

    def __init__(self, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        self._secrets = secrets

    def redact(self, text: str) -> str:
        """Return *text* with `***` in place of every secret."""
        for secret in sorted(self._spelled(), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return text

    def _spelled(self) -> set[str]:
        """Return every known secret as it is, in a URL, in quotes, and in JSON."""
        return {
            spelling
            for secret in self._secrets()
            if len(secret) >= _SHORTEST
            for spelling in (secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1])
        }


class TextFormatter(logging.Formatter):
    """Writes a line for each record, and its traceback after it; among several, a *worker* has a number."""

    def __init__(self, redaction: Redaction, *, worker: int | None = None) -> None:
        who = "" if worker is None else f"worker {worker}: "
        super().__init__(f"%(asctime)s %(levelname)s {who}%(message)s")
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, without secrets."""
        return self._redaction.redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """Writes a JSON object for each record: time, level, logger, message, *worker*, what `extra=` says."""

    def __init__(self, redaction: Redaction, *, worker: int | None = None) -> None:
        super().__init__()
        self._who = {} if worker is None else {"worker": worker}
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, without secrets, on one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._who,
            "message": self._redaction.redact(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = self._redaction.redact(self.formatException(record.exc_info))
        if record.stack_info:
            fields["stack"] = self._redaction.redact(self.formatStack(record.stack_info))
        for name, value in record.__dict__.items():
            if name not in _OWN and name not in fields:
                fields[name] = self._plain(name, value)
        return json.dumps(fields, ensure_ascii=False)

    def _plain(self, name: str, value: object) -> object:
        if _SECRET_FIELD.fullmatch(name):
            return _HIDDEN
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
            return value
        return self._redaction.redact(value if isinstance(value, str) else repr(value))


# What every record has, and what formatters add to it.
_OWN = frozenset({*logging.makeLogRecord({}).__dict__, "asctime", "message", "taskName"})

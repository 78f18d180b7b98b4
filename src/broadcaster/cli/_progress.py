"""What a worker does, as it does it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from broadcaster.cli._shown import printable, write_line
from broadcaster.queues.outcomes import Outcome, Verdict

__all__ = ["Lines", "Progress"]

_WORDS = {
    Verdict.DELIVERED: "delivered",
    Verdict.RETRY: "to be tried again",
    Verdict.FAILED: "given up",
    Verdict.EXPIRED: "stale",
    Verdict.UNREADABLE: "unreadable",
}
_RATE_SECONDS = 5.0


class Lines:
    """A line of JSON for each job, on stdout."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def report(self, outcome: Outcome) -> None:
        """Write what became of a job; never what it says."""
        line = _fields(outcome)
        with self._lock:
            write_line(line)


class Progress:
    """One line on a terminal: how many there were, and how many in a second. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._counts: Counter[Verdict] = Counter()
        self._since: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=1_000)
        self._lock = threading.Lock()
        self._live = Live(console=console, get_renderable=self._line, refresh_per_second=4, transient=True)
        self._handler = _Printed(console)

    def __enter__(self) -> Self:
        # What is logged goes above the line.
        logging.getLogger().addHandler(self._handler)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        logging.getLogger().removeHandler(self._handler)
        self._console.print(self._told())

    def report(self, outcome: Outcome) -> None:
        """Count what became of a job."""
        with self._lock:
            self._counts[outcome.verdict] += 1

    def _line(self) -> Text:
        with self._lock:
            now, total = time.monotonic(), self._counts.total()
            self._since.append((now, total))
            while len(self._since) > 2 and self._since[0][0] < now - _RATE_SECONDS:
                self._since.popleft()
            then, before = self._since[0]
        rate = (total - before) / max(now - then, 0.001)
        return Text.assemble(self._told(), ("  ", ""), (f"{rate:,.0f} a second", "bold cyan"))

    def _told(self) -> Text:
        with self._lock:
            counts = {verdict: self._counts[verdict] for verdict in Verdict}
        told = [
            f"{count:,} {_WORDS[verdict]}"
            for verdict, count in counts.items()
            if count or verdict is Verdict.DELIVERED
        ]
        return Text(", ".join(told))


class _Printed(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self.format(record).splitlines()
            self._console.print(Text("\n".join(map(printable, lines)), "yellow"))
        except Exception:  # noqa: BLE001 - what cannot be shown must not fail what it tells of
            self.handleError(record)


def _fields(outcome: Outcome) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "verdict": outcome.verdict.value,
    }
    if (envelope := outcome.envelope) is not None:
        fields |= {
            "event": envelope.message.name,
            "id": envelope.message.id,
            "driver": envelope.driver,
            "queue": envelope.queue,
            "attempt": envelope.attempt,
        }
    if outcome.reason:
        fields["reason"] = outcome.reason
    if outcome.again is not None:
        fields["again_in"] = round(outcome.pause, 3)
    return fields

"""A worker of dramatiq's queue in a process of its own, which says what it delivers.

With *hold* it delivers nothing, and says what it was to deliver. SIGTERM stops it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from broadcaster.drivers.base import Driver
from broadcaster.messages import Message
from broadcaster.queues.dramatiq import DramatiqQueue, make_broker
from broadcaster.queues.working import WorkOptions


class Saying(Driver):
    """Writes the ids of what it delivers, a line each."""

    def __init__(self, *, hold: bool) -> None:
        self._hold = hold

    def driver(self, name: str) -> Driver:
        return self

    def deliver(self, message: Message) -> None:
        self.deliver_many([message])

    async def adeliver(self, message: Message) -> None:
        self.deliver(message)

    def deliver_many(self, messages: Sequence[Message]) -> None:
        for message in messages:
            sys.stdout.write(f"{message.id}\n")
        sys.stdout.flush()
        if self._hold:
            threading.Event().wait(600)

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        self.deliver_many(messages)


@contextmanager
def working(url: str, prefix: str, *, hold: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run such a process while the block lasts."""
    command = [sys.executable, "-m", __name__, url, prefix, *(["hold"] if hold else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def main() -> None:
    url, prefix, *hold = sys.argv[1:]
    broker = make_broker(url, prefix=prefix, dead_after=2.0, look_every=0.2)
    queue = DramatiqQueue(Saying(hold=bool(hold)), broker=broker, prefix=prefix)
    worker = queue.worker(WorkOptions(), report=lambda outcome: None)
    signal.signal(signal.SIGTERM, lambda number, frame: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()

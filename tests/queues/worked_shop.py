"""An application with a queue, whose workers are processes that the tests may kill."""

from __future__ import annotations

import runpy
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from tests.programs import broadcaster
from tests.waits import until

__all__ = ["Shop"]

_ROOT = str(Path(__file__).parents[2])

_APPLICATION = '''
import os
import sys
from pathlib import Path
from typing import ClassVar

from broadcaster import BroadcastManager, DeliveryError, Event, Settings, ShouldQueue
from broadcaster.drivers.base import BlockingDriver

sys.path.append({root!r})
from tests.waits import until

FOLDER = Path(__file__).parent

{queue}


class Pages(BlockingDriver):
    """Writes to a file what it delivers, and does besides what it is told to."""

    name = "pages"

    def deliver(self, message):
        said(f"begun {message.data}")
        if "kill" in message.data:
            os.kill(os.getpid(), 9)
        if "refuse" in message.data:
            raise DeliveryError("refused", driver="pages")
        if "wait" in message.data:
            until((FOLDER / "let-go").exists)
        said(f"delivered {message.data}")


def said(line):
    with (FOLDER / "told").open("a") as told:
        told.write(f"{line} by {os.getpid()}\\n")


class Ordered(Event, ShouldQueue):
    item: str
    tries: ClassVar = 1

    def broadcast_on(self):
        return "orders"

    @classmethod
    def failed(cls, message, error):
        said(f"failed {message.data}")


broadcast = BroadcastManager(Settings("pages"), queue=QUEUE)
broadcast.extend("pages", Pages)


def send(*items):
    for item in items:
        broadcast.send(Ordered(item=item))
        if item == "die":
            os.kill(os.getpid(), 9)


def send_many(*items):
    broadcast.send_many(Ordered(item=item) for item in items)
'''


SQLITE = """
from functools import partial
from broadcaster.queues.sqlite import SqliteQueue

QUEUE = partial(SqliteQueue, file=str(FOLDER / "queue.sqlite3"), lease=1.0)
"""


class Shop:
    """The application, in *folder*; *queue* is the program that makes its QUEUE."""

    def __init__(self, folder: Path, queue: str = SQLITE) -> None:
        self.folder = folder
        application = _APPLICATION.replace("{queue}", queue).replace("{root!r}", repr(_ROOT))
        (folder / "shop.py").write_text(application)

    def send(self, *items: str, by: str = "send") -> int:
        """Send an event for each of *items* from a process of its own; return its exit status."""
        command = [sys.executable, "-c", f"import shop; shop.{by}(*{items!r})"]
        return subprocess.run(command, cwd=self.folder, timeout=30, check=False).returncode

    def send_from_here(self, *items: str) -> None:
        """Send an event for each of *items* from this process, which takes less time."""
        application = runpy.run_path(str(self.folder / "shop.py"), run_name="shop")
        with application["broadcast"]:
            application["send_many"](*items)
        if "broker" in application:
            application["broker"].close()

    def work(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """Start a worker, with the options *arguments*."""
        # To nowhere: a pipe that nobody reads would hold the worker up.
        return broadcaster(
            "work", "--app", "shop:broadcast", *arguments, stdout=subprocess.DEVNULL, folder=self.folder
        )

    def queue(self, *arguments: str) -> str:
        """Return what `broadcaster queue` prints."""
        with broadcaster(
            "queue", *arguments, "--app", "shop:broadcast", stdout=subprocess.PIPE, folder=self.folder
        ) as process:
            output, errors = process.communicate(timeout=30)
        return output + errors

    def let_go(self) -> None:
        """Let go what waits inside the driver."""
        (self.folder / "let-go").touch()

    def lines(self, word: str, item: str = "") -> list[str]:
        """Return what the workers have said that begins with *word* and has *item* in it."""
        told = self.folder / "told"
        lines = told.read_text().splitlines() if told.exists() else []
        return [line for line in lines if line.startswith(word) and item in line]

    def until(self, word: str, item: str = "", *, count: int = 1) -> None:
        """Wait until workers have said that *count* times."""
        # Whoever asks too often takes the time from the workers.
        until(lambda: len(self.lines(word, item)) >= count, every=0.02)

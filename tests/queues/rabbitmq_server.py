"""A real RabbitMQ on the loopback interface, with a folder, ports and an `epmd` of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pika

from tests.ports import free_ports
from tests.waits import until

SECONDS = 60.0

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script itself: the one in the path is Debian's, which becomes another user, with folders of its own."""


class RabbitServer:
    """One node that keeps what it has in *folder*; it stays at its port when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.port, self._epmd_port, self._dist_port = free_ports(3)
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def url(self, port: int | None = None) -> str:
        """Return its URL, or that of a proxy before it."""
        return f"amqp://guest:guest@127.0.0.1:{port or self.port}/%2f"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM.exists(), (
            "RabbitMQ is missing; install it, for instance with: apt-get install rabbitmq-server"
        )
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            # Which would refuse messages on a disk that is nearly full.
            "disk_free_limit.absolute = 1MB\n",
            "utf-8",
        )
        (self._folder / "plugins").write_text("[].", "utf-8")
        environment = {
            "HOME": str(self._folder),  # where the cookie is
            "ERL_CRASH_DUMP": str(self._folder / "crash"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_NODENAME": f"test-{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        }
        with (self._folder / "out").open("ab") as out:
            # The node would leave one behind.
            for command in (["epmd", "-port", str(self._epmd_port)], [PROGRAM]):
                self._running.append(
                    subprocess.Popen(
                        command, env=os.environ | environment, stdout=out, stderr=out, start_new_session=True
                    )
                )
        until(lambda: self._answers() or self._running[-1].poll() is not None, seconds=SECONDS, every=0.1)
        assert self._running[-1].poll() is None, (self._folder / "out").read_text("utf-8")

    def stop(self) -> None:
        """Kill it, with all that belongs to it."""
        while self._running:
            process = self._running.pop()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(SECONDS)

    def _answers(self) -> bool:
        parameters = pika.URLParameters(self.url() + "?connection_attempts=1&stack_timeout=10")
        try:
            pika.BlockingConnection(parameters).close()
        except pika.exceptions.AMQPError:
            return False
        return True

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

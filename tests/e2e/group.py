"""Two servers of two workers each, behind one Redis and a load balancer, in the place of a single server."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from tests.drivers.redis_servers import RedisServer

from .balancer import Balancer
from .children import BroadcasterServer

__all__ = ["BroadcasterGroup", "Server"]


class BroadcasterGroup:
    """Is used like a `BroadcasterServer`, whose clients are now on four nodes, at random."""

    host = Balancer.host
    app_id, key, secret = BroadcasterServer.app_id, BroadcasterServer.key, BroadcasterServer.secret

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = ExitStack()
        self._servers: list[BroadcasterServer] = []
        self.port = 0

    def __enter__(self) -> Self:
        redis = self._open.enter_context(RedisServer(self._folder))
        for _ in range(2):
            self._servers.append(server := BroadcasterServer(redis.url()))
            self._open.callback(server.stop)
        self.port = self._open.enter_context(Balancer([server.port for server in self._servers])).port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def goodbye(self) -> int:
        """What a server closes connections with when it stops."""
        return self._servers[0].goodbye

    def restart(self, how: signal.Signals) -> int:
        """Restart one server after the other with the signal *how*; return how the worst of them ended."""
        return max((server.restart(how) for server in self._servers), key=abs)

    @property
    def log(self) -> str:
        """The last lines of the servers' logs."""
        return "\n".join(server.log for server in self._servers)


Server: TypeAlias = BroadcasterServer | BroadcasterGroup

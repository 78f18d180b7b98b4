"""The failed store on Redis: a stream, of which the oldest entries make room."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from broadcaster.drivers._redis_package import reached
from broadcaster.queues.failed import Failed
from broadcaster.queues.redis_locks import Redis

__all__ = ["RedisFailedStore"]

_ID = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


class RedisFailedStore:
    """Keeps the latest *most* beneath *prefix*, for all processes that use that Redis."""

    def __init__(self, client: Redis, *, prefix: str, most: int = 10_000) -> None:
        self._client = client
        self._key = f"{prefix}:failed"
        self._most = most

    def add(self, failed: Failed) -> str:
        """See `FailedStore.add()`; the oldest makes room."""
        texts = {"reason": failed.reason, "queue": failed.queue, "name": failed.name, "driver": failed.driver}
        # What an error says may hold anything.
        fields = {name: text.encode(errors="backslashreplace") for name, text in texts.items()}
        fields |= {"body": failed.body, "at": repr(failed.at).encode()}
        words = [word for field in fields.items() for word in field]
        entry: bytes = self._run("XADD", "MAXLEN", self._most, "*", *words)
        return entry.decode()

    def list(self, *, most: int = 100) -> Sequence[Failed]:
        """See `FailedStore.list()`."""
        return [_read(*entry) for entry in self._run("XREVRANGE", "+", "-", "COUNT", most)]

    def count(self) -> int:
        """See `FailedStore.count()`."""
        return int(self._run("XLEN"))

    def find(self, failed_id: str) -> Failed | None:
        """See `FailedStore.find()`."""
        if not _ID.fullmatch(failed_id):
            return None
        entries = self._run("XRANGE", failed_id, failed_id)
        return _read(*entries[0]) if entries else None

    def forget(self, failed_id: str) -> bool:
        """See `FailedStore.forget()`."""
        return bool(_ID.fullmatch(failed_id)) and self._run("XDEL", failed_id) == 1

    def flush(self) -> int:
        """See `FailedStore.flush()`."""
        return int(self._run("XTRIM", "MAXLEN", 0))

    def _run(self, command: str, *words: Any) -> Any:
        with reached("the failed store on Redis"):
            return self._client.execute_command(command, self._key, *words)


def _read(entry: bytes, fields: Mapping[bytes, bytes]) -> Failed:
    reason, queue, name, driver = (
        fields[field].decode() for field in (b"reason", b"queue", b"name", b"driver")
    )
    return Failed(fields[b"body"], reason, float(fields[b"at"]), queue, name, driver, entry.decode())

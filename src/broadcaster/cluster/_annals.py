"""What the journal keeps in Redis, and the commands that read and write it.

All of a topic is in one slot of a Redis Cluster, which is also that of the channel where it is told:

| Key, after the channel in braces | Type | Holds |
|---|---|---|
| `:history` | stream | the latest entries, each with what was said; the first is only there for its id |
| `:latest` | string | the id of the last one, for a day; there it goes on when all entries are too old |
| `:said:{name}` | string | that this was said, within the window of repeats |
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from itertools import pairwise
from typing import Any

from broadcaster.cluster._ledger import Command
from broadcaster.cluster.journal import Entry, Keeping

__all__ = ["Annals", "read_recalled"]

_DAY = 86_400
_TAG = re.compile(r"[^{]*\{[^}]+\}")


class Annals:
    """Makes commands; a topic is told on the channel that *prefix* and its name are.

    Where Redis *is_sharded* so is the channel.
    """

    def __init__(self, prefix: str, *, is_sharded: bool) -> None:
        self._prefix = prefix
        self._verb = "SPUBLISH" if is_sharded else "PUBLISH"
        folder = resources.files("broadcaster.cluster") / "scripts"
        shared = (folder / "_history.lua").read_text("utf-8")
        self._scripts = {
            name: shared + (folder / f"{name}.lua").read_text("utf-8") for name in ("recall", "record")
        }
        self._digests = {
            name: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
            for name, script in self._scripts.items()
        }

    def load(self) -> list[Command]:
        """Return what makes the scripts known."""
        return [("SCRIPT", "LOAD", script) for script in self._scripts.values()]

    def record(self, topic: str, payload: bytes, name: str, keeping: Keeping) -> Command:
        """Record *payload* under that *name*, or a hole where there is none."""
        keys = [self._key(topic, "history"), self._key(topic, "latest"), self._key(topic, f"said:{name}")]
        known, window = _known(keeping), str(max(1, keeping.window))
        bounds = (str(keeping.events), _seconds(keeping), known, window)
        told = (self._verb, self._prefix + topic)
        return ("EVALSHA", self._digests["record"], "3", *keys, payload, *told, *bounds)

    def recall(self, topic: str, last_id: str, keeping: Keeping) -> Command:
        """Read what came after *last_id*; see `read_recalled()`."""
        keys = [self._key(topic, "history"), self._key(topic, "latest")]
        return ("EVALSHA", self._digests["recall"], "2", *keys, last_id, _seconds(keeping), _known(keeping))

    def _key(self, topic: str, what: str) -> str:
        channel = self._prefix + topic
        # Redis takes the first braces for what tells the slot, and there may be some in the prefix.
        return f"{channel if _TAG.match(channel) else f'{{{channel}}}'}:{what}"


def read_recalled(answer: Sequence[Any], *, after: str) -> tuple[str, list[Entry] | None]:
    """Read the answer to `Annals.recall()`: the latest id, and the entries *after* an id, or None."""
    latest, found = answer
    if found is None:
        return latest.decode(), None
    ids = [after, *(entry_id.decode() for entry_id, _ in found)]
    said = [payload for _, (_, payload) in found]
    return latest.decode(), [
        Entry(at, before, told) for (before, at), told in zip(pairwise(ids), said, strict=True)
    ]


def _seconds(keeping: Keeping) -> str:
    return str(max(1, keeping.seconds))


def _known(keeping: Keeping) -> str:
    return str(max(_DAY, keeping.seconds))

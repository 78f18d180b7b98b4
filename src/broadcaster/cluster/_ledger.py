"""What the roster keeps in Redis, and the commands that read and write it.

All of it is in one slot of a Redis Cluster, since one script changes several keys at once:

| Key, after the prefix | Type | Holds |
|---|---|---|
| `nodes` | sorted set | each node, with when its lease ends |
| `count:{place}` | hash | each node that has somebody there: connections, and when it last told |
| `member:{place}` | hash | each user there: nodes, each with the info |
| `cached:{place}` | string | the last event of a cache channel |
| `node:{node}` | set | the places where it has somebody |
| `channels:{app}`, `users:{app}` | set | the places where somebody is |
| `farewells` | sorted set | who is gone, with when that is news |
| `buried:{node}` | string | that another node took what it had |
| `clock` | string | how many changes there were |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, TypeAlias

from broadcaster.cluster._own import Part
from broadcaster.cluster.replicas import Share, token_of
from broadcaster.cluster.roster import split
from broadcaster.encoding import decode, encode
from broadcaster.protocol.elsewhere import user_at

__all__ = ["Command", "Ledger", "read_look"]

Command: TypeAlias = tuple[str | bytes, ...]

_FAREWELLS = 100
_PLACES = 100
_TOMBSTONE = 86_400


class Ledger:
    """Makes commands; *lease* and *pause* are seconds."""

    def __init__(self, prefix: str, *, lease: float, pause: float) -> None:
        self._prefix = f"{{{prefix}broadcaster}}:"
        self._lease = str(round(lease * 1000))
        self._pause = str(round(pause * 1000))
        folder = resources.files("broadcaster.cluster") / "scripts"
        self._scripts = {
            name: (folder / f"{name}.lua").read_text("utf-8")
            for name in ("beat", "bury", "look", "register", "share")
        }
        self._digests = {
            name: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
            for name, script in self._scripts.items()
        }

    @property
    def home(self) -> str:
        """A key of its slot."""
        return self._prefix

    def load(self) -> list[Command]:
        """Return what makes the scripts known."""
        return [("SCRIPT", "LOAD", script) for script in self._scripts.values()]

    def register(self, node: str, former: Iterable[str]) -> Command:
        """Give *node* a lease; the answer is whether one of its *former* names was buried by others."""
        tombstones = [self._key("buried", name) for name in former]
        return self._run("register", [self._key("nodes"), *tombstones], node, self._lease)

    def beat(self, node: str) -> Command:
        """Renew the lease of *node*; the answer is who lives, who does not, and the farewells due."""
        keys = [self._key("nodes"), self._key("farewells")]
        return self._run("beat", keys, node, self._lease, str(_FAREWELLS))

    def share(self, node: str, part: Part) -> Command:
        """Note what *node* has at a place.

        The answer is nothing when the node has no lease; or the time, whether it is occupied now, who came.
        """
        place, known = part.place, part.share.known
        app_id, name = split(place)
        is_user = user_at(name) is not None
        users = [
            *((user_id, encode(info), _quiet(user_id in known)) for user_id, info in part.came.items()),
            *((user_id, "", "") for user_id in part.gone),
        ]
        return self._run(
            "share",
            [
                self._key("nodes"),
                self._key("count", place),
                self._key("member", place),
                self._key("node", node),
                self._key("users" if is_user else "channels", app_id),
                self._key("farewells"),
                self._key("clock"),
            ],
            node,
            place,
            str(part.count),
            _quiet(part.share.is_known),
            "0" if is_user else self._pause,
            *(text for user in users for text in user),
        )

    def look(self, place: str) -> Command:
        """Read what there is at *place*; see `read_look()`."""
        keys = [self._key(kind, place) for kind in ("count", "member", "cached")]
        return self._run("look", [*keys, self._key("clock")])

    def bury(self, node: str, *, alive: bool) -> Command:
        """Take what *node* has from some places, *alive* or not; the answer is how many places are left."""
        nodes, farewells = self._key("nodes"), self._key("farewells")
        keys = [nodes, self._key("node", node), farewells, self._key("buried", node)]
        how = "alive" if alive else ""
        return self._run("bury", keys, node, how, str(_PLACES), self._prefix, str(_TOMBSTONE))

    def keep(self, place: str, frame: str, seconds: int) -> Command:
        """Keep the last event of a cache channel."""
        return ("SET", self._key("cached", place), frame, "EX", str(max(1, seconds)))

    def connections(self, place: str) -> Command:
        """Read how many connections each node has at *place*; each answer begins with the number."""
        return ("HVALS", self._key("count", place))

    def user_count(self, place: str) -> Command:
        """Count the users at *place*."""
        return ("HLEN", self._key("member", place))

    def users(self, place: str) -> Command:
        """Read the ids of the users at *place*."""
        return ("HKEYS", self._key("member", place))

    def channels(self, app_id: str, cursor: bytes) -> Command:
        """Read the next of the occupied channels; the answer begins with the next cursor, at last `0`."""
        return ("SSCAN", self._key("channels", app_id), cursor, "COUNT", "1000")

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    def _run(self, script: str, keys: Sequence[str], *arguments: str) -> Command:
        return ("EVALSHA", self._digests[script], str(len(keys)), *keys, *arguments)


def read_look(answer: Sequence[Any], *, own: str) -> tuple[int, dict[str, Share], str | None]:
    """Read the answer to `Ledger.look()`: the time, the shares of others than the token *own*, the event."""
    clock, counts, members, cached = answer
    shares: dict[str, Share] = {}
    for node, value in _pairs(counts):
        if token_of(node) != own:
            count, at = value.split()
            shares[node] = Share(int(at), int(count))
    for user_id, value in _pairs(members):
        for node, info in decode(value).items():
            if node in shares:
                shares[node].members[user_id] = decode(info)
    return int(clock), shares, None if cached is None else cached.decode()


def _quiet(is_known: object) -> str:
    return "quiet" if is_known else ""


def _pairs(answer: Sequence[bytes]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in zip(answer[::2], answer[1::2], strict=True)]

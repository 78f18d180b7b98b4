"""Which servers take a message: one, the master that sentinels know, or the nodes of a cluster."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from broadcaster._slots import SLOTS, owned_ranges, slot_of
from broadcaster.drivers._redis_flow import Failure, Node, Publication, Role, Steps, Undelivered
from broadcaster.drivers._redis_wire import command, publish

__all__ = ["Cluster", "Sentinels", "Single"]

# After a failover, nodes may point at each other for a moment.
_MOST_MOVES = 4


class Single:
    """One server."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def publish(self, publications: list[Publication]) -> Steps[Undelivered]:
        """See `Servers.publish()`."""
        return (yield from _publish(self._node, publications))


class Sentinels:
    """The master of *service*, as sentinels know it; they are asked again when it fails."""

    def __init__(self, sentinels: Sequence[Node], service: str) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._master: Node | None = None

    def publish(self, publications: list[Publication]) -> Steps[Undelivered]:
        """See `Servers.publish()`."""
        master = self._master or (yield from self._look_up())
        if isinstance(master, Failure):
            return [(publication, master) for publication in publications]
        self._master = master
        undelivered = yield from _publish(master, publications)
        if undelivered and self._master is master:
            self._master = None
        return undelivered

    def _look_up(self) -> Steps[Node | Failure]:
        question = command(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._service.encode())
        failure = Failure(f"no sentinel knows the master {self._service!r}", retryable=False)
        for number, sentinel in enumerate(self._sentinels, 1):
            answers = yield {sentinel: [question]}
            match answers[sentinel][0]:
                case [bytes(host), bytes(port)]:
                    # It may not have heard of a failover yet: should the master fail, others come first.
                    self._sentinels = self._sentinels[number:] + self._sentinels[:number]
                    return Node(host.decode(), int(port), Role.MASTER)
                case Failure() as failure:
                    pass
        return failure


@dataclass(frozen=True, slots=True)
class _Map:
    """The nodes of a cluster: the *owners* of the slots, and the *entry* to which whatever goes otherwise."""

    entry: Node
    owners: list[Node | None]
    sharded: bool

    def node_for(self, channel: bytes) -> Node | None:
        return self.owners[slot_of(channel)] if self.sharded else self.entry


class Cluster:
    """The cluster that *seeds* belong to.

    With *sharded* a message goes to the node that owns its channel, and to nobody but those who
    subscribed with SSUBSCRIBE; None is to do so when the servers can. Without it any node takes all.
    """

    def __init__(self, seeds: Sequence[Node], *, sharded: bool | None) -> None:
        self._seeds = random.sample(seeds, len(seeds))
        self._known = list(self._seeds)  # whom to ask for the map, in this order
        self._sharded = sharded
        self._map: _Map | None = None

    def publish(self, publications: list[Publication]) -> Steps[Undelivered]:
        """See `Servers.publish()`."""
        undelivered: Undelivered = []
        moved: Undelivered = []
        for _ in range(_MOST_MOVES):
            known = self._map or (yield from self._look_up())
            if isinstance(known, Failure):
                return undelivered + [(publication, known) for publication in publications]
            self._map = known
            moved = []
            for publication, failure in (yield from _publish_by_node(known, publications)):
                (moved if failure.moved else undelivered).append((publication, failure))
            if (moved or undelivered) and self._map is known:
                self._map = None
            if not moved:
                return undelivered
            publications = [publication for publication, _ in moved]
        return undelivered + moved

    def _look_up(self) -> Steps[_Map | Failure]:
        questions = [command(b"CLUSTER", b"SLOTS")]
        if self._sharded is None:
            questions.append(command(b"COMMAND", b"INFO", b"SPUBLISH"))
        failure = Failure("no node of the cluster was found")
        asked = set()
        for node in self._known:
            asked.add(node)
            answers = yield {node: questions}
            failures = [answer for answer in answers[node] if isinstance(answer, Failure)]
            if failures:
                failure = failures[0]
                continue
            slots, *told = answers[node]
            if told:
                self._sharded = told[0] != [None]
            found = _Map(node, _owners(slots, node), self._sharded is True)
            # Should it be needed again soon, these were down, or the map was wrong: they come last.
            known = dict.fromkeys([*filter(None, found.owners), *self._seeds])
            self._known = sorted(known, key=lambda one: one in asked)
            return found
        return failure


def _publish(node: Node, publications: list[Publication]) -> Steps[Undelivered]:
    answers = yield {node: [publish(b"PUBLISH", channel, text) for channel, text in publications]}
    return [
        (publication, answer)
        for publication, answer in zip(publications, answers[node], strict=True)
        if isinstance(answer, Failure)
    ]


def _publish_by_node(known: _Map, publications: list[Publication]) -> Steps[Undelivered]:
    verb = b"SPUBLISH" if known.sharded else b"PUBLISH"
    undelivered: Undelivered = []
    parts: dict[Node, list[Publication]] = {}
    for publication in publications:
        node = known.node_for(publication[0])
        if node is None:
            slot = slot_of(publication[0])
            undelivered.append((publication, Failure(f"no node of the cluster owns slot {slot}")))
        else:
            parts.setdefault(node, []).append(publication)
    answers = yield {
        node: [publish(verb, channel, text) for channel, text in part] for node, part in parts.items()
    }
    for node, part in parts.items():
        for publication, answer in zip(part, answers[node], strict=True):
            if isinstance(answer, Failure):
                undelivered.append((publication, answer))
    return undelivered


def _owners(slots: Sequence[Sequence[Any]], asked: Node) -> list[Node | None]:
    """Return the owner of each slot from what *asked* answered to CLUSTER SLOTS."""
    owners: list[Node | None] = [None] * SLOTS
    for owned, host, port in owned_ranges(slots, asked=asked.host):
        owners[owned] = [Node(host, port)] * (owned.stop - owned.start)
    return owners

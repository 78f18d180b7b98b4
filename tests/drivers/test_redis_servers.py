"""Which servers are asked to publish a message, as far as no real ones can be made to say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from broadcaster.drivers._redis_flow import Answers, Failure, Node, Questions, Role, Servers, Undelivered
from broadcaster.drivers._redis_servers import Cluster, Sentinels
from broadcaster.drivers._redis_wire import command, publish

SENTINELS = [Node(f"s{number}", 26379, Role.SENTINEL) for number in range(3)]
NODES = [Node(f"n{number}", 6379) for number in range(3)]
DOWN = Failure("no connection")
WHO = command(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"shop")
SLOTS = command(b"CLUSTER", b"SLOTS")
HAS_SPUBLISH = command(b"COMMAND", b"INFO", b"SPUBLISH")
# In slots 10294 and 7890, as a real server says when asked with CLUSTER KEYSLOT.
BAR, FOO = (b"lobby", b"{}"), (b"orders.7", b"{}")


class World:
    """What each server answers to each command; the rest is down."""

    def __init__(self, answers: Mapping[Node, Mapping[bytes, Any]]) -> None:
        self.answers = {node: dict(told) for node, told in answers.items()}
        self.asked: list[tuple[Node, bytes]] = []

    def publish(self, servers: Servers, *publications: tuple[bytes, bytes]) -> Undelivered:
        """Let *servers* publish."""
        flow = servers.publish(list(publications))
        answers: Answers = {}
        try:
            step = next(flow)
            while True:
                assert isinstance(step, Mapping)
                answers = self._answer(step)
                step = flow.send(answers)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]

    def _answer(self, questions: Questions) -> Answers:
        self.asked += [(node, text) for node, texts in questions.items() for text in texts]
        return {
            node: [self.answers.get(node, {}).get(text, DOWN) for text in texts]
            for node, texts in questions.items()
        }


def ok(*publications: tuple[bytes, bytes], verb: bytes = b"PUBLISH") -> dict[bytes, int]:
    return {publish(verb, *publication): 1 for publication in publications}


def slots(*owners: tuple[int, int, list[Any]]) -> dict[bytes, Any]:
    return {SLOTS: [[first, last, owner] for first, last, owner in owners], HAS_SPUBLISH: [[b"spublish"]]}


def test_the_first_sentinel_that_answers_names_the_master() -> None:
    world = World({SENTINELS[1]: {WHO: [b"m", b"6380"]}, Node("m", 6380, Role.MASTER): ok(FOO)})
    servers = Sentinels(SENTINELS, "shop")

    undelivered = world.publish(servers, FOO) + world.publish(servers, FOO)

    assert undelivered == []
    assert [node.host for node, _ in world.asked] == ["s0", "s1", "m", "m"]


def test_after_a_failure_another_sentinel_is_asked() -> None:
    old, new = Node("old", 1, Role.MASTER), Node("new", 2, Role.MASTER)
    world = World({
        SENTINELS[0]: {WHO: [b"old", b"1"]},
        SENTINELS[1]: {WHO: [b"new", b"2"]},
        new: ok(FOO),
    })  # fmt: skip
    servers = Sentinels(SENTINELS[:2], "shop")

    assert world.publish(servers, FOO) == [(FOO, DOWN)]
    assert world.publish(servers, FOO) == []
    assert [node for node, _ in world.asked] == [SENTINELS[0], old, SENTINELS[1], new]


def test_a_master_that_no_sentinel_knows_is_a_mistake() -> None:
    world = World({sentinel: {WHO: None} for sentinel in SENTINELS})

    ((_, failure),) = world.publish(Sentinels(SENTINELS, "shop"), FOO)

    assert not failure.retryable
    assert "no sentinel knows the master 'shop'" in failure.reason


def test_sentinels_that_are_all_gone_may_come_back() -> None:
    undelivered = World({}).publish(Sentinels(SENTINELS, "shop"), FOO, BAR)

    assert undelivered == [(FOO, DOWN), (BAR, DOWN)]


def test_each_node_of_a_cluster_is_told_what_it_owns() -> None:
    world = World({
        NODES[0]: slots((0, 8000, [b"n1", 6379, b"id"]), (8001, 16383, [b"n2", 6379, b"id", []])),
        NODES[1]: ok(FOO, verb=b"SPUBLISH"),
        NODES[2]: ok(BAR, verb=b"SPUBLISH"),
    })  # fmt: skip
    servers = Cluster(NODES[:1], sharded=None)

    undelivered = world.publish(servers, FOO, BAR) + world.publish(servers, BAR)

    assert undelivered == []
    assert [node.host for node, _ in world.asked] == ["n0", "n0", "n1", "n2", "n2"]


@pytest.mark.parametrize("nameless", [None, b"", b"?"])
def test_a_node_that_does_not_know_its_name_is_where_it_was_asked(nameless: bytes | None) -> None:
    world = World({
        NODES[0]: slots((0, 16383, [nameless, 7000, b"id"])),
        Node("n0", 7000): ok(FOO, verb=b"SPUBLISH"),
    })  # fmt: skip

    assert world.publish(Cluster(NODES[:1], sharded=True), FOO) == []


def test_servers_without_spublish_are_told_to_publish_everywhere() -> None:
    told = slots((0, 16383, [b"n1", 6379, b"id"])) | {HAS_SPUBLISH: [None]}
    world = World({NODES[0]: told | ok(FOO, BAR)})
    servers = Cluster(NODES[:1], sharded=None)

    undelivered = world.publish(servers, FOO, BAR) + world.publish(servers, FOO)

    assert undelivered == []
    assert [text for _, text in world.asked].count(HAS_SPUBLISH) == 1


def test_a_server_that_may_not_say_what_it_can_is_not_guessed_at() -> None:
    forbidden = Failure("not permitted", retryable=False)
    world = World({NODES[0]: slots((0, 16383, [b"n0", 6379, b"id"])) | {HAS_SPUBLISH: forbidden}})

    assert world.publish(Cluster(NODES[:1], sharded=None), FOO) == [(FOO, forbidden)]


def test_a_slot_that_nobody_owns_may_be_owned_later() -> None:
    world = World({
        NODES[0]: slots((0, 8000, [b"n1", 6379, b"id"])),
        NODES[1]: ok(FOO, verb=b"SPUBLISH"),
    })  # fmt: skip

    ((publication, failure),) = world.publish(Cluster(NODES[:1], sharded=True), FOO, BAR)

    assert publication == BAR
    assert (failure.retryable, failure.taken) == (True, False)
    assert "slot 10294" in failure.reason


def test_after_a_failure_another_node_is_asked_for_the_map() -> None:
    world = World({
        NODES[0]: slots((0, 16383, [b"n1", 6379, b"id"])),
        NODES[2]: slots((0, 16383, [b"n2", 6379, b"id"])) | ok(FOO, verb=b"SPUBLISH"),
    })  # fmt: skip
    servers = Cluster([NODES[0]], sharded=True)

    assert world.publish(servers, FOO) == [(FOO, DOWN)]
    del world.answers[NODES[0]][SLOTS]
    assert world.publish(servers, FOO) == [(FOO, DOWN)]
    world.answers[NODES[1]] = slots((0, 16383, [b"n2", 6379, b"id"]))

    assert world.publish(servers, FOO) == []


def test_a_node_that_moves_a_channel_is_believed_only_so_often() -> None:
    moved = Failure("does not own it", moved=True)
    world = World({
        NODES[0]: slots((0, 16383, [b"n1", 6379, b"id"])),
        NODES[1]: slots((0, 16383, [b"n0", 6379, b"id"])) | {publish(b"SPUBLISH", *FOO): moved},
    })  # fmt: skip
    world.answers[NODES[0]] |= {publish(b"SPUBLISH", *FOO): moved}

    undelivered = world.publish(Cluster(NODES[:1], sharded=True), FOO)

    assert undelivered == [(FOO, moved)]
    assert moved.retryable
    assert len(world.asked) < 12


def test_what_stands_in_braces_decides_where_a_channel_lives() -> None:
    tagged = [(b"{orders.7}.a", b"{}"), (b"b{orders.7}", b"{}"), (b"orders.7", b"{}")]
    plain = [(b"{}orders.7", b"{}"), (b"{orders.7", b"{}")]
    world = World({
        NODES[0]: slots((0, 16383, [b"n2", 6379, b"id"]), (7890, 7890, [b"n1", 6379, b"id"])),
        NODES[1]: ok(*tagged, verb=b"SPUBLISH"),
        NODES[2]: ok(*plain, verb=b"SPUBLISH"),
    })  # fmt: skip

    assert world.publish(Cluster(NODES[:1], sharded=True), *tagged, *plain) == []

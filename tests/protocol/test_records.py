from __future__ import annotations

import pytest

from broadcaster.protocol.effects import Join, Keep, Leave, Miss, Recall, Record, Relay
from broadcaster.protocol.elsewhere import Elsewhere
from broadcaster.protocol.limits import Limits

from .conversation import Client, Conversation, Frame

GAP = "broadcaster:gap"


@pytest.fixture
def conversation() -> Conversation:
    return Conversation(peers=True, history=("kept*", "cache-kept"))


def on(conversation: Conversation, channel: str = "kept", *, latest: str = "1-0") -> Client:
    """Return a client that is on *channel*, of which this node hears what is new after *latest*."""
    client = conversation.connects()
    client.take()
    client.subscribes(channel)
    if channel not in conversation.hub.channels:
        conversation.hub.records.begin(channel, latest)
        conversation.perform(conversation.hub.joined(channel, Elsewhere()))
    return client


def event(data: str, *, channel: str = "kept", socket: str | None = None, message_id: str = "") -> Relay:
    return Relay("news", (channel,), data, socket, message_id or f"message-{data}")


def recorded(
    conversation: Conversation,
    latest: str,
    *relays: tuple[str, Relay],
    missed: bool = False,
    late: bool = False,
) -> None:
    channel = relays[0][1].channels[0] if relays else "kept"
    records = conversation.hub.records
    conversation.perform(records.recorded(channel, relays, latest, missed=missed, late=late))


def delayed(conversation: Conversation, relay: Relay) -> None:
    conversation.perform(conversation.hub.records.delayed(relay))


def recalled(
    conversation: Conversation, client: Client, last_id: str, missed: list[tuple[str, Relay]] | None
) -> None:
    records = conversation.hub.records
    conversation.perform(records.recalled("kept", client.connection, last_id, missed))


def said(frames: list[Frame]) -> list[str]:
    return [frame["data"] if frame["event"] == "news" else frame["event"] for frame in frames]


# Recording


def test_an_event_is_recorded_first_and_pushed_with_its_id_when_it_is_heard(
    conversation: Conversation,
) -> None:
    client = on(conversation)
    client.take()

    conversation.broadcast("kept", "1")
    assert client.take() == []
    assert conversation.history == [Record(Relay("news", ("kept",), "1"))]
    recorded(conversation, "2-0", ("2-0", event("1")))

    assert client.take() == [{"event": "news", "channel": "kept", "data": "1", "id": "2-0"}]


def test_each_of_its_channels_goes_its_own_way(conversation: Conversation) -> None:
    plain = on(conversation, "plain")
    plain.take()

    conversation.perform(conversation.hub.broadcast("news", ["kept", "plain", "kept-2"], "1", message_id="x"))

    assert said(plain.take()) == ["1"]
    assert conversation.history == [Record(Relay("news", ("kept", "kept-2"), "1", None, "x"))]
    assert [each for each in conversation.outside if isinstance(each, Relay)] == [
        Relay("news", ("plain",), "1", None, "x")
    ]


def test_what_is_said_again_is_not_recorded_again(conversation: Conversation) -> None:
    for channels in (["kept"], ["kept"], ["kept", "kept-2"]):
        conversation.perform(conversation.hub.broadcast("news", channels, "1", message_id="x"))

    assert [each.relay.channels for each in conversation.history if isinstance(each, Record)] == [
        ("kept",),
        ("kept-2",),
    ]


def test_what_is_published_past_the_nodes_is_recorded_if_it_has_an_id_and_missed_if_not(
    conversation: Conversation,
) -> None:
    client = on(conversation)
    client.take()

    conversation.perform(conversation.hub.published(event("1", message_id="x")))
    assert client.take() == []
    conversation.perform(conversation.hub.published(Relay("news", ("kept",), "2")))

    assert client.take() == [{"event": "news", "channel": "kept", "data": "2"}]
    assert conversation.history == [Record(event("1", message_id="x")), Miss("kept")]


def test_a_node_that_does_not_know_the_history_yet_is_heard_too(conversation: Conversation) -> None:
    conversation.perform(conversation.hub.relayed(event("1")))

    assert conversation.history == [Record(event("1"))]


def test_what_others_record_where_we_keep_nothing_is_pushed_once(conversation: Conversation) -> None:
    client = on(conversation, "plain")
    client.take()

    conversation.perform(conversation.hub.broadcast("news", ["plain"], "1", message_id="x"))
    recorded(conversation, "2-0", ("2-0", event("1", channel="plain", message_id="x")))
    recorded(conversation, "3-0", ("3-0", event("2", channel="plain")))

    assert said(client.take()) == ["1", "2"]


def test_the_socket_that_asked_is_left_out(conversation: Conversation) -> None:
    ann, bob = on(conversation), on(conversation)
    conversation.silence([ann, bob])

    recorded(conversation, "2-0", ("2-0", event("1", socket=ann.socket_id)))

    assert (said(ann.take()), said(bob.take())) == ([], ["1"])


def test_the_last_event_of_a_cache_channel_is_kept_when_it_is_taken(conversation: Conversation) -> None:
    conversation.broadcast("cache-kept", "1")

    [kept] = conversation.reports
    assert isinstance(kept, Keep)
    assert kept.channel == "cache-kept"


# Out of reach


def test_what_cannot_be_recorded_yet_is_pushed_at_once_and_not_again(conversation: Conversation) -> None:
    client = on(conversation)
    client.take()

    delayed(conversation, event("1"))
    assert client.take() == [{"event": "news", "channel": "kept", "data": "1"}]
    recorded(conversation, "3-0", ("2-0", event("other")), ("3-0", event("1")))

    assert said(client.take()) == ["other"]
    [acknowledged] = conversation.silence([conversation.connects()])[0].subscribes("kept")
    assert acknowledged["id"] == "3-0"


def test_what_was_recorded_after_all_is_not_pushed_as_if_it_were_not(conversation: Conversation) -> None:
    client = on(conversation)
    client.take()

    recorded(conversation, "2-0", ("2-0", event("1")))
    delayed(conversation, event("1"))

    assert said(client.take()) == ["1"]


def test_without_a_position_the_acknowledgement_has_an_id_that_is_always_a_gap(
    conversation: Conversation,
) -> None:
    client = on(conversation, latest="0-0")
    assert client.take()[0]["id"] == "0-0"

    client.subscribes("kept")
    other = conversation.connects()
    other.take()
    other.subscribes("kept", last_id="0-0")
    recalled(conversation, other, "0-0", None)

    assert said(other.take()) == [GAP]


def test_a_gap_tells_everybody_where_to_go_on(conversation: Conversation) -> None:
    client = on(conversation)
    client.take()

    recorded(conversation, "9-0", missed=True)

    assert client.take() == [{"event": GAP, "channel": "kept", "data": "{}", "id": "9-0"}]
    assert conversation.hub.tally.gaps == 1


def test_what_comes_late_is_counted(conversation: Conversation) -> None:
    on(conversation)
    on(conversation)

    recorded(conversation, "3-0", ("2-0", event("1")), ("3-0", event("2")), late=True)

    assert conversation.hub.tally.replayed == 4


# Coming back


def test_who_comes_back_hears_nothing_new_before_it_has_what_it_missed(conversation: Conversation) -> None:
    on(conversation, latest="5-0")
    client = conversation.connects()
    client.take()

    [acknowledged] = client.subscribes("kept", last_id="3-0")
    recorded(conversation, "6-0", ("6-0", event("6")))
    assert client.take() == []
    missed = [("4-0", event("4")), ("5-0", event("5")), ("6-0", event("6"))]
    recalled(conversation, client, "3-0", missed)
    recorded(conversation, "7-0", ("7-0", event("7")))

    assert acknowledged["id"] == "5-0"
    assert conversation.history == [Recall("kept", client.connection, "3-0")]
    frames = client.take()
    assert (said(frames), [frame["id"] for frame in frames]) == (
        ["4", "5", "6", "7"],
        ["4-0", "5-0", "6-0", "7-0"],
    )
    assert conversation.hub.tally.replayed == 3


def test_who_has_heard_everything_is_asked_for_nothing(conversation: Conversation) -> None:
    on(conversation, latest="5-0")
    client = conversation.connects()
    client.take()

    client.subscribes("kept", last_id="5-0")

    assert conversation.history == []


@pytest.mark.parametrize("last_id", ["", "nonsense", "0-" + "9" * 40, "-1", "a-1"])
def test_an_id_that_nobody_made_is_a_gap_at_once(conversation: Conversation, last_id: str) -> None:
    on(conversation, latest="5-0")
    client = conversation.connects()
    client.take()

    _, gap = client.subscribes("kept", last_id=last_id)

    assert gap == {"event": GAP, "channel": "kept", "data": "{}", "id": "5-0"}
    assert conversation.history == []


def test_after_a_gap_it_goes_on(conversation: Conversation) -> None:
    on(conversation, latest="5-0")
    client = conversation.connects()
    client.take()
    client.subscribes("kept", last_id="3-0")

    recalled(conversation, client, "3-0", None)
    recalled(conversation, client, "3-0", None)
    recorded(conversation, "6-0", ("6-0", event("6")))

    assert said(client.take()) == [GAP, "6"]


def test_an_answer_for_who_has_gone_or_come_anew_is_left_out(conversation: Conversation) -> None:
    on(conversation, latest="5-0")
    client = conversation.connects()
    client.take()
    client.subscribes("kept", last_id="3-0")
    client.unsubscribes("kept")
    recalled(conversation, client, "3-0", [("4-0", event("4"))])
    client.subscribes("kept", last_id="4-0")
    recalled(conversation, client, "3-0", [("4-0", event("4"))])
    recalled(conversation, client, "4-0", [("5-0", event("5"))])

    assert [what for what in said(client.take()) if "pusher" not in what] == ["5"]


def test_a_cache_channel_tells_its_last_event_to_who_has_a_gap() -> None:
    conversation = Conversation(peers=True, history=("cache-a",))
    client = conversation.connects()
    client.take()
    client.subscribes("cache-a", last_id="nonsense")

    conversation.hub.records.begin("cache-a", "5-0")
    conversation.perform(conversation.hub.joined("cache-a", Elsewhere(cached='{"event":"news","data":"1"}')))

    assert said(client.take())[1:] == [GAP, "1"]


def test_a_channel_begins_anew_when_it_was_left(conversation: Conversation) -> None:
    client = on(conversation, latest="5-0")
    client.unsubscribes("kept")
    client.take()

    client.subscribes("kept")
    conversation.perform(conversation.hub.joined("kept", Elsewhere()))

    assert client.take()[0]["id"] == "0-0"
    join = Join("kept", history=True)
    assert conversation.outside == [join, Leave("kept"), join]


def test_who_waits_misses_nothing_and_is_told_nothing_twice(conversation: Conversation) -> None:
    client = conversation.connects()
    client.take()
    client.subscribes("kept")
    conversation.hub.records.begin("kept", "1-0")

    recorded(conversation, "2-0", ("2-0", event("1")))
    conversation.perform(conversation.hub.joined("kept", Elsewhere()))
    recorded(conversation, "3-0", ("3-0", event("2")))

    acknowledged, frame = client.take()
    assert (acknowledged["id"], frame["id"]) == ("2-0", "3-0")


def test_what_came_is_forgotten_in_time() -> None:
    conversation = Conversation(Limits(repeat_window=1), peers=True, history=("kept",))
    client = on(conversation)
    client.take()
    conversation.passes(0)
    recorded(conversation, "2-0", ("2-0", event("1")))
    conversation.passes(61)

    delayed(conversation, event("1"))

    assert said(client.take()) == ["1", "1"]

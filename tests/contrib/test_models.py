from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any

import pytest

from broadcaster import (
    BroadcastManager,
    ConfigurationError,
    InvalidChannelName,
    PresenceChannel,
    PrivateChannel,
    ShouldRescue,
    current_socket,
)
from broadcaster.contrib.models import (
    AnnouncesChanges,
    Change,
    ModelEvent,
    channel_by_key,
    is_trashed,
    pattern_of,
    shown,
    update_of,
)
from broadcaster.events import Broadcastable, ShouldDispatchAfterCommit, Via
from broadcaster.testing import capture

HERE = "tests.contrib.test_models"


class Row(AnnouncesChanges):
    """A model of an ORM that writes nothing."""

    broadcast_hidden = ("password",)

    def __init__(self, key: int, title: str = "") -> None:
        self.key, self.title, self.password = key, title, "secret"

    def broadcast_columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in shown(type(self), vars(self))}

    @staticmethod
    def broadcast_channel_of(model: Any) -> PrivateChannel:
        return channel_by_key(type(model), (model.key,))


class Size(Enum):
    BIG = "big"


class Post(Row):
    pass


class BlogPost(Row):
    pass


def messages(model: AnnouncesChanges, change: Change, *, on: Any = None) -> list[tuple[str, list[str], str]]:
    """Return what announcing *change* sends: name, channels and data."""
    broadcast = BroadcastManager()
    with capture(broadcast) as outbox:
        broadcast.send(model.broadcast_event(change, on=on))
    return [(m.name, list(m.channels), m.data) for m in (sent.message for sent in outbox)]


# What a model says when it says nothing


def test_a_change_is_announced_by_class_and_change_on_the_models_own_channel_with_its_columns() -> None:
    assert messages(Post(7, "Hello"), "created") == [
        ("PostCreated", [f"private-{HERE}.Post.7"], '{"model":{"key":7,"title":"Hello"}}')
    ]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("created", "PostCreated"),
        ("updated", "PostUpdated"),
        ("trashed", "PostTrashed"),
        ("restored", "PostRestored"),
        ("deleted", "PostDeleted"),
    ],
)
def test_every_change_has_its_name(change: Change, name: str) -> None:
    assert [message[0] for message in messages(Post(7), change)] == [name]


def test_an_event_of_a_model_is_an_event_that_waits_for_the_commit() -> None:
    event = Post(7).broadcast_event("updated")

    assert isinstance(event, Broadcastable)
    assert isinstance(event, ShouldDispatchAfterCommit)


# What a model may say


def test_every_hook_gets_the_change() -> None:
    asked = []

    class Curious(Row):
        def broadcast_on(self, change: Change) -> Any:
            asked.append(f"on {change}")
            return "news"

        def broadcast_as(self, change: Change) -> str:
            asked.append(f"as {change}")
            return "post.changed"

        def broadcast_with(self, change: Change) -> Mapping[str, Any]:
            asked.append(f"with {change}")
            return {"id": self.key}

        def broadcast_when(self, change: Change) -> bool:
            asked.append(f"when {change}")
            return True

        def broadcast_via(self, change: Change) -> Via:
            asked.append(f"via {change}")
            return "null"

    assert messages(Curious(7), "trashed") == [("post.changed", ["news"], '{"id":7}')]
    assert sorted(asked) == ["as trashed", "on trashed", "via trashed", "when trashed", "with trashed"]


def test_the_drivers_are_those_that_the_model_says() -> None:
    class Quiet(Row):
        def broadcast_via(self, change: Change) -> Via:
            return ["null", "log"]

    broadcast = BroadcastManager()
    with capture(broadcast) as outbox:
        broadcast.send(Quiet(7).broadcast_event("created"))

    assert outbox[0].drivers == ("null", "log")


def test_channels_names_and_models_may_be_mixed() -> None:
    class Shared(Row):
        def broadcast_on(self, change: Change) -> Any:
            return [self, PresenceChannel("room"), "lobby", None, BlogPost(3)]

    assert messages(Shared(7), "created", on=None)[0][1] == [
        f"private-{HERE}.test_channels_names_and_models_may_be_mixed.Shared.7",
        "presence-room",
        "lobby",
        f"private-{HERE}.BlogPost.3",
    ]


@pytest.mark.parametrize("nowhere", [None, [], (), [None], iter(())])
def test_a_model_that_names_no_channel_announces_nothing(nowhere: Any) -> None:
    class Shy(Row):
        def broadcast_on(self, change: Change) -> Any:
            return nowhere

    assert messages(Shy(7), "created") == []


def test_a_model_may_refuse_a_change() -> None:
    class Careful(Row):
        def broadcast_when(self, change: Change) -> bool:
            return change == "created"

    assert len(messages(Careful(7), "created")) == 1
    assert messages(Careful(7), "updated") == []


def test_none_is_the_default_name_and_the_default_data() -> None:
    class Particular(Row):
        def broadcast_as(self, change: Change) -> str | None:
            return "fresh" if change == "created" else None

        def broadcast_with(self, change: Change) -> Mapping[str, Any] | None:
            return {} if change == "created" else None

    [(created, _, empty)] = messages(Particular(7), "created")
    [(updated, _, data)] = messages(Particular(7, "a"), "updated")

    assert (created, empty) == ("fresh", "{}")
    assert (updated, data) == ("ParticularUpdated", '{"model":{"key":7,"title":"a"}}')


def test_the_name_may_be_an_enums() -> None:
    class Names(Enum):
        BORN = "post.born"

    class Named(Row):
        def broadcast_as(self, change: Change) -> Enum:
            return Names.BORN

    assert messages(Named(7), "created")[0][0] == "post.born"


def test_a_model_may_have_an_event_of_its_own_with_marks() -> None:
    class PostEvent(ModelEvent, ShouldRescue):
        pass

    class Marked(Row):
        def broadcast_event(self, change: Change, *, on: Any = None) -> ModelEvent:
            return PostEvent(self, change, on=on)

    broadcast, row = BroadcastManager(), Marked(7)
    with capture(broadcast) as outbox:
        broadcast.send(row.broadcast_event("created"))

    outbox.assert_sent(PostEvent, where=lambda event: event.model is row and event.change == "created")
    assert outbox[0].message.name == "MarkedCreated"


@pytest.mark.parametrize("hook", ["on", "as", "with", "when", "via", "event"])
def test_a_hook_that_is_async_is_refused_when_its_class_is_made(hook: str) -> None:
    async def late(self: object, change: Change) -> bool:
        return False

    with pytest.raises(TypeError, match=rf"Late\.broadcast_{hook}\(\) must be a plain method, not async"):
        type("Late", (Row,), {f"broadcast_{hook}": late})


# By hand


def test_a_change_may_be_announced_by_hand_elsewhere() -> None:
    [(name, channels, _)] = messages(Post(7), "updated", on=["lobby", Post(8)])

    assert name == "PostUpdated"
    assert channels == ["lobby", f"private-{HERE}.Post.8"]


def test_nowhere_by_hand_is_nowhere() -> None:
    assert messages(Post(7), "updated", on=[]) == []


def test_the_sender_is_left_out_by_who_sends() -> None:
    broadcast = BroadcastManager()
    with capture(broadcast) as outbox, current_socket("1.2"):
        broadcast.send(Post(7).broadcast_event("updated"), to_others=True)

    assert outbox[0].message.except_socket == "1.2"


# Channels


def test_functions_leave_no_trace_in_the_name_of_a_channel() -> None:
    class Local(Row):
        class Inner(Row):
            pass

    where = f"{HERE}.test_functions_leave_no_trace_in_the_name_of_a_channel.Local"
    assert channel_by_key(Local, (1,)) == PrivateChannel(f"{where}.1")
    assert channel_by_key(Local.Inner, (1,)) == PrivateChannel(f"{where}.Inner.1")


@pytest.mark.parametrize(
    ("key", "end"),
    [
        ((7,), "7"),
        ((-1,), "-1"),
        (("a_b@c=d;e,f",), "a_b@c=d;e,f"),
        ((7, 3), "7,3"),
        (("b", Size.BIG), "b,big"),
    ],
)
def test_a_key_stands_in_the_name_as_it_is_written(key: tuple[Any, ...], end: str) -> None:
    assert channel_by_key(Post, key).name == f"private-{HERE}.Post.{end}"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ((None,), "has no key before it is written"),
        ((7, None), "has no key before it is written"),
        (("1.secret",), "is empty or holds a dot"),
        (("",), "is empty or holds a dot"),
        (("a,b", "c"), "a comma in one of its parts is ambiguous"),
        (("a b",), "' ' at position"),
        (("a" * 200,), "200 are allowed"),
    ],
)
def test_a_key_that_no_name_may_hold_is_refused(key: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(InvalidChannelName, match=reason):
        channel_by_key(Post, key)


@pytest.mark.parametrize(
    ("name", "placeholder"),
    [
        ("Post", "post"),
        ("BlogPost", "blog_post"),
        ("HTTPRequest", "http_request"),
        ("Order2Line", "order2_line"),
        ("Old_Name", "old_name"),
    ],
)
def test_a_pattern_names_its_placeholder_after_the_class(name: str, placeholder: str) -> None:
    cls = type(name, (Row,), {"__module__": "blog.models"})

    assert pattern_of(cls) == f"blog.models.{name}.{{{placeholder}}}"


def test_a_pattern_is_one_of_a_rule_for_the_models_channel() -> None:
    broadcast = BroadcastManager.from_dict(
        {"driver": "pusher", "drivers": {"pusher": {"app_id": "1", "key": "k", "secret": "s"}}}
    )

    @broadcast.channel(pattern_of(BlogPost))
    def may_read(user: str, blog_post: int) -> bool:
        return (user, blog_post) == ("ada", 7)

    assert broadcast.authorize("ada", channel_by_key(BlogPost, (7,)).name, socket_id="1.2")


def test_a_class_may_name_its_channels_for_its_subclasses_too() -> None:
    class Employee(Row):
        broadcast_channel_name = "employees"

    class Boss(Employee):
        pass

    assert channel_by_key(Boss, (3,)).name == "private-employees.3"
    assert pattern_of(Employee) == "employees.{employee}"


# What no browser may see


def test_what_is_hidden_or_private_is_not_shown() -> None:
    assert shown(Post, ["key", "_note", "password", "title"]) == ["key", "title"]


def test_what_a_base_hides_stays_hidden() -> None:
    class Draft(Post):
        broadcast_hidden = ("title",)

    assert shown(Draft, ["key", "password", "title"]) == ["key"]


@pytest.mark.parametrize("hidden", [("passwrod",), "password", ["password", "passwrod"]])
def test_hiding_what_is_not_there_is_refused_rather_than_shown(hidden: Any) -> None:
    class Typo(AnnouncesChanges):
        broadcast_hidden = hidden

    with pytest.raises(ConfigurationError, match=r"Typo\.broadcast_hidden names '.*', which is no column"):
        shown(Typo, ["key", "password"])


def test_a_slip_in_what_is_hidden_is_told_what_was_meant() -> None:
    class Typo(AnnouncesChanges):
        broadcast_hidden = ("passwrod",)

    with pytest.raises(ConfigurationError, match="did you mean 'password'"):
        shown(Typo, ["key", "password"])


# Without broadcasting


def test_a_class_may_be_silenced_with_its_subclasses() -> None:
    class Draft(Post):
        pass

    with Post.without_broadcasting():
        silent = messages(Post(7), "created") + messages(Draft(7), "created")
        heard = messages(BlogPost(7), "created")

    assert silent == []
    assert len(heard) == len(messages(Post(7), "created")) == 1


def test_all_models_may_be_silenced() -> None:
    with AnnouncesChanges.without_broadcasting():
        assert messages(Post(7), "created") + messages(BlogPost(7), "created") == []


def test_silence_ends_with_an_exception_and_with_its_own_block_only() -> None:
    with Post.without_broadcasting():
        with suppress(LookupError), BlogPost.without_broadcasting():
            raise LookupError
        assert messages(Post(7), "created") == []
        assert len(messages(BlogPost(7), "created")) == 1

    assert len(messages(Post(7), "created")) == 1


def test_another_thread_is_not_silenced() -> None:
    heard: list[object] = []

    with Post.without_broadcasting():
        thread = threading.Thread(target=lambda: heard.extend(messages(Post(7), "created")))
        thread.start()
        thread.join()

    assert len(heard) == 1


async def test_another_task_is_not_silenced_but_a_thread_that_works_for_the_same_task_is() -> None:
    silenced, told = asyncio.Event(), asyncio.Event()

    async def silent() -> int:
        with Post.without_broadcasting():
            silenced.set()
            await told.wait()
            return len(await asyncio.to_thread(messages, Post(7), "created"))

    async def loud() -> int:
        await silenced.wait()
        count = len(messages(Post(7), "created"))
        told.set()
        return count

    assert tuple(await asyncio.gather(silent(), loud())) == (0, 1)


# Soft deletes


@pytest.mark.parametrize(("value", "trashed"), [(None, False), (False, False), (True, True), ("2026", True)])
def test_a_row_is_trashed_by_a_time_or_a_truth(value: object, trashed: bool) -> None:
    assert is_trashed(value) is trashed


@pytest.mark.parametrize(
    ("was_trashed", "trashed", "changes"),
    [
        (False, False, ("updated",)),
        (True, True, ("updated",)),
        (False, True, ("trashed", "deleted")),
        (True, False, ("updated", "restored")),
    ],
)
def test_an_update_comes_to_changes(was_trashed: bool, trashed: bool, changes: tuple[Change, ...]) -> None:
    assert update_of(was_trashed=was_trashed, trashed=trashed) == changes

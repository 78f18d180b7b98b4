from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Now, Upper
from django.utils.functional import SimpleLazyObject

from broadcaster import BroadcastManager, Forbidden, InvalidChannelName, UnencodableData, current_socket
from broadcaster.contrib.django import broadcast
from broadcaster.contrib.django.models import BroadcastsEvents, Change, channel_of, pattern_of
from broadcaster.testing import Outbox, capture

HERE = "private-tests.contrib.django.test_models"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


class Post(BroadcastsEvents):
    broadcast_hidden = ("password",)

    title = models.CharField(max_length=80, unique=True)
    password = models.CharField(max_length=80, default="secret")
    file = models.FileField(blank=True)
    author = models.ForeignKey(User, models.CASCADE, null=True)

    class Meta:
        app_label = "shop"


class Comment(BroadcastsEvents):
    broadcast_to_others = True

    text = models.CharField(max_length=80)
    post = models.ForeignKey(Post, models.CASCADE)

    class Meta:
        app_label = "shop"

    def broadcast_on(self, change: Change) -> Any:
        return [self.post, self.post.author]

    def broadcast_with(self, change: Change) -> Any:
        return {"text": self.text, "on": self.post.title}


class Memo(BroadcastsEvents):
    broadcast_soft_delete = "deleted_at"

    text = models.CharField(max_length=80, default="a")
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        app_label = "shop"


class Token(BroadcastsEvents):
    id = models.UUIDField(primary_key=True, default=uuid4)

    class Meta:
        app_label = "shop"


class Address(BroadcastsEvents):
    email = models.CharField(max_length=80, primary_key=True)

    class Meta:
        app_label = "shop"

    def broadcast_with(self, change: Change) -> Any:
        return {"odd": object()} if self.email == "odd" else {}


class ShortMemo(Memo):
    class Meta:
        app_label = "shop"
        proxy = True


@pytest.fixture
def outbox(database: None) -> Iterator[Outbox]:
    with capture(broadcast) as outbox:
        yield outbox


def names(outbox: Outbox) -> list[str]:
    return [sent.message.name for sent in outbox]


def told(outbox: Outbox) -> list[tuple[str, str, Any]]:
    messages = [sent.message for sent in outbox]
    return [(m.name, ", ".join(m.channels).replace(HERE, ""), json.loads(m.data)) for m in messages]


def silently(model: models.Model) -> Any:
    """Save *model*, and return what somebody else would load of it."""
    with BroadcastsEvents.without_broadcasting():
        model.save()
    return type(model).objects.get(pk=model.pk)


# Changes


def test_a_model_that_is_saved_is_announced_with_its_columns(outbox: Outbox) -> None:
    post = Post.objects.create(title="Hello")
    post.title = "Hi"
    post.save()

    data = {"id": post.pk, "file": "", "author_id": None}
    assert told(outbox) == [
        ("PostCreated", f".Post.{post.pk}", {"model": {**data, "title": "Hello"}}),
        ("PostUpdated", f".Post.{post.pk}", {"model": {**data, "title": "Hi"}}),
    ]


def test_a_model_that_is_deleted_is_announced_as_it_was(outbox: Outbox) -> None:
    memo = silently(Memo())
    key = memo.pk
    memo.delete()

    assert told(outbox) == [
        ("MemoDeleted", f".Memo.{key}", {"model": {"id": key, "text": "a", "deleted_at": None}})
    ]


def test_what_a_query_or_a_cascade_deletes_is_announced(outbox: Outbox) -> None:
    ada = User.objects.create(username="ada")
    post = silently(Post(title="Hello", author=ada))
    silently(Comment(text="First", post=post))
    Post.objects.all().delete()

    channels = f".Post.{post.pk}, private-django.contrib.auth.models.User.{ada.pk}"
    assert min(told(outbox)) == ("CommentDeleted", channels, {"text": "First", "on": "Hello"})
    assert sorted(names(outbox)) == ["CommentDeleted", "PostDeleted"]


def test_bulk_methods_and_fixtures_announce_nothing(outbox: Outbox) -> None:
    memo = silently(Memo())
    fixture = serializers.serialize("json", [memo])

    Memo.objects.bulk_create([Memo(), Memo()])
    Memo.objects.update(text="b")
    Memo.objects.bulk_update([memo], ["text"])
    for found in serializers.deserialize("json", fixture):
        found.save()

    outbox.assert_nothing_sent()


def test_a_model_waits_for_the_database_it_was_written_to(outbox: Outbox) -> None:
    with transaction.atomic():
        with transaction.atomic(using="archive"):
            memo = Memo()
            memo.save(using="archive")
            before = names(outbox)
        after = names(outbox)
        memo.delete(using="archive")

        assert (before, after, names(outbox)) == ([], ["MemoCreated"], ["MemoCreated", "MemoDeleted"])


def test_what_the_database_worked_out_is_announced_and_the_instance_left_alone(outbox: Outbox) -> None:
    post = silently(Post(title="Hello"))
    post.title = Upper(models.F("title"))
    post.save()

    assert told(outbox)[0][2]["model"]["title"] == "HELLO"


def test_what_is_not_loaded_is_announced_too(outbox: Outbox) -> None:
    silently(Post(title="Hello"))
    post = Post.objects.only("author").get()
    post.save()

    assert told(outbox)[0][2]["model"]["title"] == "Hello"
    assert "title" in post.get_deferred_fields()


async def test_async_verbs_announce_as_well(outbox: Outbox) -> None:
    memo = await Memo.objects.acreate()
    await memo.asave()
    await memo.adelete()

    assert names(outbox) == ["MemoCreated", "MemoUpdated", "MemoDeleted"]


# Transactions


def test_what_is_announced_waits_for_the_commit(outbox: Outbox) -> None:
    with transaction.atomic():
        memo = Memo.objects.create()
        memo.delete()
        outbox.assert_nothing_sent()

    assert names(outbox) == ["MemoCreated", "MemoDeleted"]


def test_a_rollback_forgets_and_a_savepoint_no_more_than_its_own(outbox: Outbox) -> None:
    with suppress(LookupError), transaction.atomic():
        Memo.objects.create(text="lost")
        raise LookupError
    with transaction.atomic():
        Memo.objects.create(text="kept")
        with suppress(IntegrityError), transaction.atomic():
            Memo.objects.create(text="lost")
            Post.objects.bulk_create([Post(title="twice"), Post(title="twice")])

    assert [data["model"]["text"] for _, _, data in told(outbox)] == ["kept"]


def test_a_delete_that_fails_is_not_announced(outbox: Outbox) -> None:
    def fail(**_signal: object) -> None:
        raise ConnectionError

    memo = silently(Memo())
    models.signals.post_delete.connect(fail, sender=Memo)
    with suppress(ConnectionError):
        memo.delete()
    models.signals.post_delete.disconnect(fail, sender=Memo)

    outbox.assert_nothing_sent()


# What is told


def test_what_is_hidden_stays_out(outbox: Outbox) -> None:
    Post.objects.create(title="Hello", password="secret")

    assert "secret" not in outbox[0].message.data


def test_the_name_of_a_file_is_told(outbox: Outbox) -> None:
    Post.objects.create(title="Hello", file="a.pdf")

    assert told(outbox)[0][2]["model"]["file"] == "a.pdf"


def test_the_connection_of_the_request_is_left_out_of_what_says_so(outbox: Outbox) -> None:
    with current_socket("1.2"):
        post = Post.objects.create(title="Hello")
        Comment.objects.create(text="First", post=post)

    assert [sent.message.except_socket for sent in outbox] == [None, "1.2"]


def test_what_cannot_be_encoded_writes_nothing_inside_a_transaction(outbox: Outbox) -> None:
    with pytest.raises(UnencodableData), transaction.atomic():
        Address.objects.create(email="odd")

    assert not Address.objects.exists()


def test_a_change_may_be_announced_by_hand(outbox: Outbox) -> None:
    memo = silently(Memo())
    with transaction.atomic():
        broadcast.send(memo.broadcast_event("updated", on=["lobby", Token(id=UUID(int=1))]))
        outbox.assert_nothing_sent()

    assert told(outbox)[0][1] == "lobby, .Token.00000000-0000-0000-0000-000000000001"


def test_what_is_saved_without_broadcasting_is_not_announced(outbox: Outbox) -> None:
    with Memo.without_broadcasting():
        Memo.objects.create()
        Token.objects.create()
    Memo.objects.create()

    assert names(outbox) == ["TokenCreated", "MemoCreated"]


# Soft deletes


def test_a_soft_delete_is_announced_as_trashed_and_as_deleted(outbox: Outbox) -> None:
    memo = silently(Memo())
    memo.deleted_at = NEW_YEAR
    memo.save()
    memo.save()

    assert names(outbox) == ["MemoTrashed", "MemoDeleted", "MemoUpdated"]
    assert told(outbox)[0][2]["model"]["deleted_at"] == "2026-01-01T00:00:00Z"


def test_what_is_restored_is_announced_as_updated_and_as_restored(outbox: Outbox) -> None:
    memo = silently(Memo(deleted_at=NEW_YEAR))
    memo.deleted_at = None
    memo.save()
    memo.save()

    assert names(outbox) == ["MemoUpdated", "MemoRestored", "MemoUpdated"]


def test_what_was_created_may_be_deleted_softly_at_once(outbox: Outbox) -> None:
    memo = Memo.objects.create()
    memo.deleted_at = NEW_YEAR
    memo.save()

    assert names(outbox) == ["MemoCreated", "MemoTrashed", "MemoDeleted"]


def test_a_soft_delete_by_the_clock_of_the_database_is_announced(outbox: Outbox) -> None:
    memo = silently(Memo())
    memo.deleted_at = Now()
    memo.save()

    assert names(outbox) == ["MemoTrashed", "MemoDeleted"]
    assert told(outbox)[0][2]["model"]["deleted_at"].startswith("20")


def test_a_save_of_other_fields_is_an_update_and_changes_nothing_about_the_soft_delete(
    outbox: Outbox,
) -> None:
    memo = silently(Memo())
    memo.deleted_at = NEW_YEAR
    memo.save(update_fields=["text"])
    memo.save(update_fields=["deleted_at"])

    assert names(outbox) == ["MemoUpdated", "MemoTrashed", "MemoDeleted"]


@pytest.mark.parametrize("was_deleted", [False, True])
def test_a_soft_delete_of_what_was_not_loaded_is_compared_with_the_database(
    outbox: Outbox, was_deleted: bool
) -> None:
    made = silently(Memo(deleted_at=NEW_YEAR if was_deleted else None))
    memo = Memo.objects.only("text").get()
    memo.deleted_at = NEW_YEAR
    memo.save()
    Memo(pk=made.pk, deleted_at=None).save()

    first = ["MemoUpdated"] if was_deleted else ["MemoTrashed", "MemoDeleted"]
    assert names(outbox) == [*first, "MemoUpdated", "MemoRestored"]


def test_what_is_loaded_anew_is_compared_with_that(outbox: Outbox) -> None:
    memo = silently(Memo())
    Memo.objects.update(deleted_at=NEW_YEAR)
    memo.refresh_from_db()
    memo.save()
    memo.refresh_from_db(fields=["text"])
    memo.deleted_at = None
    memo.save()

    assert names(outbox) == ["MemoUpdated", "MemoUpdated", "MemoRestored"]


def test_what_is_loaded_later_is_remembered(outbox: Outbox) -> None:
    silently(Memo(deleted_at=NEW_YEAR))
    memo = Memo.objects.only("text").get()
    assert memo.deleted_at == NEW_YEAR
    memo.deleted_at = None
    memo.save()

    assert names(outbox) == ["MemoUpdated", "MemoRestored"]


# Channels


def test_a_model_without_a_key_has_no_channel() -> None:
    with pytest.raises(InvalidChannelName, match="has no key before it is written"):
        channel_of(Memo())


def test_what_is_no_model_has_no_channel() -> None:
    with pytest.raises(TypeError, match="7 is neither a channel nor a model"):
        channel_of(7)


def test_a_model_that_is_wrapped_as_the_user_of_a_request_has_the_channel_of_its_class() -> None:
    user = SimpleLazyObject(lambda: User(pk=3))

    assert channel_of(user).name == "private-django.contrib.auth.models.User.3"


def test_a_proxy_is_announced_by_its_own_class(outbox: Outbox) -> None:
    memo = ShortMemo.objects.create()

    assert [(name, where) for name, where, _ in told(outbox)] == [
        ("ShortMemoCreated", f".ShortMemo.{memo.pk}")
    ]


def test_a_rule_gets_the_model_of_the_channel(database: None) -> None:
    memo, rules = silently(Memo()), BroadcastManager.from_dict(PUSHER)

    @rules.channel(pattern_of(Memo))
    def may_read(user: str, memo: Memo) -> bool:
        return bool(memo.text == "a")

    assert rules.authorize("ada", channel_of(memo).name, socket_id="1.2")
    for key in (memo.pk + 1, f"0{memo.pk}", "x", "9" * 30):
        with pytest.raises(Forbidden, match="is nothing that is known"):
            rules.authorize("ada", f"{HERE}.Memo.{key}", socket_id="1.2")


PUSHER = {"driver": "pusher", "drivers": {"pusher": {"app_id": "1", "key": "k", "secret": "s"}}}


# Checks


def test_a_slip_in_what_is_hidden_or_deletes_softly_is_found_by_the_checks() -> None:
    class Slip(BroadcastsEvents):
        broadcast_hidden = ("idd",)

        class Meta:
            app_label = "elsewhere"

    class OtherSlip(BroadcastsEvents):
        broadcast_soft_delete = "deleted"

        class Meta:
            app_label = "elsewhere"

    assert [error.id for error in Memo.check() + Post.check()] == []
    assert [error.id for error in Slip.check() + OtherSlip.check()] == ["broadcaster.E003"] * 2

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import TestCase
from django.urls import path

from broadcaster import AnonymousEvent, BroadcastManager, Message, ShouldDispatchAfterCommit
from broadcaster.contrib.django.commits import open_transaction, transaction_of
from broadcaster.contrib.django.manager import manager_of
from broadcaster.errors import DeliveryError
from broadcaster.signals import failed
from tests.recording import RecordingDriver

from .project import serving
from .shop.models import Note

pytestmark = pytest.mark.usefixtures("database")


class Noted(AnonymousEvent, ShouldDispatchAfterCommit):
    def __init__(self, name: str) -> None:
        super().__init__(name, on="notes")


class Reader(RecordingDriver):
    """Reads, at the time of every delivery and by a connection of its own, the notes that are there."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    def _take(self, messages: Sequence[Message]) -> None:
        super()._take(messages)
        reading = sqlite3.connect(connection.settings_dict["NAME"])
        self.seen.append([row[0] for row in reading.execute("SELECT text FROM shop_note ORDER BY text")])
        reading.close()

    @property
    def names(self) -> list[str]:
        return [message.name for message in self.delivered]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def broadcast(reader: Reader) -> BroadcastManager:
    manager = manager_of({"driver": "reader"})
    manager.extend("reader", lambda: reader)
    return manager


def note(text: str, *, using: str = "default") -> None:
    Note.objects.using(using).create(text=text)


def test_an_event_is_published_after_the_commit(broadcast: BroadcastManager, reader: Reader) -> None:
    with transaction.atomic():
        broadcast.send(Noted("a"))
        note("a")
        before = reader.names

    assert before == []
    assert (reader.names, reader.seen) == (["a"], [["a"]])


def test_a_rollback_forgets(broadcast: BroadcastManager, reader: Reader) -> None:
    with suppress(IntegrityError), transaction.atomic():
        broadcast.send(Noted("lost"))
        note("a")
        note("a")
    with transaction.atomic():
        broadcast.send(Noted("lost too"))
        transaction.set_rollback(True)

    assert reader.names == []


def test_the_root_transaction_decides_about_savepoints(broadcast: BroadcastManager, reader: Reader) -> None:
    with transaction.atomic():
        broadcast.send(Noted("a"))
        with transaction.atomic():
            broadcast.send(Noted("lost"))
            with transaction.atomic():
                broadcast.send(Noted("lost with it"))
            transaction.set_rollback(True)
        with transaction.atomic():
            broadcast.send(Noted("b"))
        before = reader.names

    assert before == []
    assert reader.names == ["a", "b"]


def test_without_a_transaction_it_leaves_at_once(broadcast: BroadcastManager, reader: Reader) -> None:
    note("a")
    broadcast.send(Noted("a"))

    assert reader.names == ["a"]
    assert open_transaction() is None


def test_what_is_not_marked_does_not_wait(broadcast: BroadcastManager, reader: Reader) -> None:
    with transaction.atomic():
        broadcast.send_many([Noted("later"), AnonymousEvent("now", on="notes")])
        assert reader.names == ["now"]

    assert reader.names == ["now", "later"]


def test_a_transaction_of_another_database_is_waited_for(broadcast: BroadcastManager, reader: Reader) -> None:
    with transaction.atomic(using="archive"):
        note("a", using="archive")
        broadcast.send(Noted("a"))
        before = reader.names

    assert (before, reader.names) == ([], ["a"])


def test_with_two_the_default_database_decides(broadcast: BroadcastManager, reader: Reader) -> None:
    with transaction.atomic():
        with transaction.atomic(using="archive"):
            broadcast.send(Noted("a"))
        before = reader.names
    with transaction.atomic(using="archive"):
        with transaction.atomic():
            broadcast.send(Noted("b"))
        between = reader.names

    assert (before, between) == ([], ["a", "b"])


def test_one_database_may_be_chosen_whatever_the_others_do(
    broadcast: BroadcastManager, reader: Reader
) -> None:
    with transaction.atomic():
        with transaction.atomic(using="archive"), transaction_of("archive"):
            broadcast.send(Noted("a"))
            before = reader.names
        after = reader.names
        with transaction_of("archive"):
            broadcast.send(Noted("b"))

        assert (before, after, reader.names) == ([], ["a"], ["a", "b"])


def test_a_delivery_that_fails_is_told_and_the_commit_is_none_the_worse(
    broadcast: BroadcastManager, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(RecordingDriver):
        def _take(self, messages: Sequence[Message]) -> None:
            raise DeliveryError("no route", driver="broken", retryable=True)

    broadcast.extend("reader", Broken)
    told: list[str] = []

    def tell(sender: object, *, message: Message, **what: object) -> None:
        told.append(message.name)

    with failed.connected_to(tell, sender=broadcast), transaction.atomic():
        note("a")
        broadcast.send(Noted("a"))
        transaction.on_commit(lambda: told.append("what came after it"))

    assert told == ["a", "what came after it"]
    assert Note.objects.count() == 1
    assert "'a' was not broadcast by driver 'reader'" in caplog.text


async def test_code_that_a_coroutine_leaves_to_a_thread_waits_too(
    broadcast: BroadcastManager, reader: Reader
) -> None:
    def write() -> list[str]:
        with transaction.atomic():
            note("a")
            broadcast.send(Noted("a"))
            before = reader.names
        connections.close_all()
        return before

    before = await sync_to_async(write)()
    await broadcast.asend(Noted("at once"))

    assert before == []
    assert (reader.names, reader.seen[0]) == (["a", "at once"], ["a"])


def test_threads_wait_each_for_its_own(broadcast: BroadcastManager, reader: Reader) -> None:
    together = threading.Barrier(8, timeout=10)

    def work(number: int) -> None:
        with transaction.atomic():
            broadcast.send(Noted(str(number)))
            together.wait()
            transaction.set_rollback(number % 2 == 0)
            together.wait()
        connections.close_all()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(reader.names) == ["1", "3", "5", "7"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["wsgi", "asgi"])
def test_a_request_in_a_transaction_publishes_when_it_has_answered(
    broadcast: BroadcastManager, reader: Reader, asynchronous: bool
) -> None:
    def order(request: HttpRequest) -> HttpResponse:
        broadcast.send(Noted("a"))
        note(request.GET["text"])
        return HttpResponse(len(reader.names))

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        with serving(path("order", order), asynchronous=asynchronous) as url:
            answers = [httpx.post(f"{url}/order", params={"text": "a"}) for _ in range(2)]
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False

    assert [(answer.status_code, answer.text[:1]) for answer in answers] == [(200, "0"), (500, "\n")]
    assert (reader.names, reader.seen) == (["a"], [["a"]])


def test_a_test_case_runs_what_waits_by_django_s_own_means(
    broadcast: BroadcastManager, reader: Reader
) -> None:
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks() as kept, transaction.atomic():
            broadcast.send(Noted("a"))
        before = reader.names
        with TestCase.captureOnCommitCallbacks(execute=True), transaction.atomic():
            broadcast.send(Noted("b"))
        transaction.set_rollback(True)

    assert (len(kept), before) == (1, [])
    assert reader.names == ["b"]

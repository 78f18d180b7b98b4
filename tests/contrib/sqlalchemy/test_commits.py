from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from broadcaster import AnonymousEvent, BroadcastManager, Message, Settings, ShouldDispatchAfterCommit
from broadcaster.contrib.sqlalchemy import follow_commits, transaction_of
from broadcaster.signals import sent
from broadcaster.testing import Outbox, capture
from tests.recording import RecordingDriver
from tests.waits import auntil


class Noted(AnonymousEvent, ShouldDispatchAfterCommit):
    def __init__(self, name: str) -> None:
        super().__init__(name, on="notes")


class Reader(RecordingDriver):
    """Reads, at the time of every delivery and by a connection of its own, the notes that are there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.seen, self.loops = path, list[list[str]](), list[bool]()

    async def adeliver(self, message: Message) -> None:
        await asyncio.to_thread(self._take, [message])
        self.loops[-1] = True

    def _take(self, messages: Sequence[Message]) -> None:
        super()._take(messages)
        connection = sqlite3.connect(self.path)
        self.seen.append([row[0] for row in connection.execute("SELECT text FROM note ORDER BY text")])
        self.loops.append(False)
        connection.close()

    @property
    def names(self) -> list[str]:
        return [message.name for message in self.delivered]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    reader = Reader(tmp_path / "notes.db")
    connection = sqlite3.connect(reader.path)
    connection.execute("CREATE TABLE note (text TEXT UNIQUE)")
    connection.close()
    return reader


@pytest.fixture
def broadcast(reader: Reader) -> BroadcastManager:
    manager = BroadcastManager(Settings("reader"))
    manager.extend("reader", lambda: reader)
    follow_commits(manager)
    return manager


def with_savepoints(engine: Engine) -> None:
    """Begin transactions ourselves, as SQLAlchemy's documentation says that SQLite's need."""
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))


@pytest.fixture
def engine(reader: Reader) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{reader.path}", poolclass=NullPool)
    with_savepoints(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def sessions(reader: Reader) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{reader.path}", poolclass=NullPool)
    with_savepoints(engine.sync_engine)
    yield async_sessionmaker(engine)
    await engine.dispose()


def note(session: Session, name: str) -> None:
    session.execute(text("INSERT INTO note VALUES (:name)"), {"name": name})


async def anote(session: AsyncSession, name: str) -> None:
    await session.execute(text("INSERT INTO note VALUES (:name)"), {"name": name})


# One session


def test_an_event_is_published_when_what_was_written_can_be_read(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        note(session, "a")
        broadcast.send(Noted("a"))
        before = reader.names
        session.commit()

    assert before == []
    assert reader.names == ["a"]
    assert reader.seen == [["a"]]


def test_an_event_without_the_mark_leaves_at_once(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        note(session, "a")
        broadcast.send_many([Noted("a"), AnonymousEvent("now", on="notes"), Noted("b")])
        before = reader.names
        session.commit()

    assert before == ["now"]
    assert reader.names == ["now", "a", "b"]
    assert reader.batches == [1, 2]


def test_without_a_transaction_an_event_leaves_at_once(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine):
        broadcast.send(Noted("a"))

    assert reader.names == ["a"]


def test_a_transaction_that_does_not_commit_forgets(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        note(session, "a")
        broadcast.send(Noted("rolled back"))
        session.rollback()
        note(session, "a")
        broadcast.send(Noted("closed"))

    assert reader.names == []


def test_a_transaction_block_that_raises_forgets(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with suppress(IntegrityError), Session(engine) as session, session.begin():
        note(session, "twice")
        broadcast.send(Noted("lost"))
        note(session, "twice")

    assert reader.names == []


def test_what_is_forgotten_is_told_to_who_debugs(
    broadcast: BroadcastManager, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "broadcaster")

    with Session(engine) as session:
        session.scalar(text("SELECT text FROM note"))
        broadcast.send(Noted("lost"))

    assert [record.message for record in caplog.records] == [
        "a transaction ended without a commit: what was sent in it is forgotten"
    ]


def test_a_commit_that_fails_forgets(broadcast: BroadcastManager, engine: Engine, reader: Reader) -> None:
    def fail(connection: object) -> None:
        raise ConnectionError("the database went away")

    event.listen(engine, "commit", fail)
    with Session(engine) as session:
        note(session, "a")
        broadcast.send(Noted("a"))
        with pytest.raises(ConnectionError):
            session.commit()

    assert reader.names == []


def test_a_session_publishes_for_each_transaction_its_own(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        for name in ("a", "b"):
            note(session, name)
            broadcast.send(Noted(name))
            session.commit()

    assert reader.names == ["a", "b"]
    assert reader.seen == [["a"], ["a", "b"]]


def test_a_prepared_transaction_publishes_when_it_commits(
    broadcast: BroadcastManager, reader: Reader
) -> None:
    with Session(twophase=True) as session:
        session.begin()
        broadcast.send(Noted("a"))
        session.prepare()
        before = reader.names
        session.commit()

    assert before == []
    assert reader.names == ["a"]


def test_what_a_commit_hook_sends_is_published_after_what_waited(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        event.listen(session, "after_commit", lambda session: broadcast.send(Noted("hook")))
        note(session, "a")
        broadcast.send(Noted("a"))
        session.commit()

    assert reader.names == ["a", "hook"]
    assert reader.seen == [["a"], ["a"]]


def test_what_an_interrupt_leaves_undone_is_logged(
    broadcast: BroadcastManager, engine: Engine, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupted(RecordingDriver):
        def deliver(self, message: Message) -> None:
            raise KeyboardInterrupt

    broadcast.extend("interrupted", Interrupted)

    with Session(engine) as session:
        note(session, "a")
        for name in ("a", "b", "c"):
            broadcast.send(Noted(name), via="interrupted")
        with pytest.raises(KeyboardInterrupt):
            session.commit()

    assert "2 more sends after a commit were not begun" in caplog.text


def test_a_delivery_that_fails_does_not_raise_out_of_the_commit(
    engine: Engine, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    broadcast = BroadcastManager(Settings("bad"))
    broadcast.extend("bad", lambda: RecordingDriver(refuses="it is closed"))
    follow_commits(broadcast)

    with Session(engine) as session:
        note(session, "a")
        broadcast.send(Noted("a"))
        session.commit()
        broadcast.send(AnonymousEvent("b", on="notes"), via="null")
        kept = session.scalar(text("SELECT text FROM note"))

    assert kept == "a"
    assert [record.message for record in caplog.records] == [
        "'a' was not broadcast by driver 'bad': driver 'recording': it is closed"
    ]


def test_who_hears_of_the_delivery_may_use_the_session_again(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:

        def keep(sender: object, *, message: Message, **facts: object) -> None:
            note(session, f"sent {message.name}")
            session.commit()

        note(session, "a")
        broadcast.send(Noted("a"))
        broadcast.send(Noted("b"))
        with sent.connected_to(keep, sender=broadcast):
            session.commit()

    assert reader.names == ["a", "b"]
    assert reader.seen == [["a"], ["a", "sent a"]]


# Savepoints


def test_a_savepoint_that_is_released_publishes_nothing_yet(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        broadcast.send(Noted("before"))
        with session.begin():
            broadcast.send(Noted("a"))
            with session.begin_nested():
                note(session, "b")
                broadcast.send(Noted("b"))
            broadcast.send(Noted("c"))
            released = reader.names

    assert released == ["before"]
    assert reader.names == ["before", "a", "b", "c"]
    assert reader.seen[-1] == ["b"]


def test_a_savepoint_that_is_rolled_back_forgets_what_was_sent_inside_and_no_more(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session, session.begin():
        broadcast.send(Noted("a"))
        note(session, "twice")
        with suppress(IntegrityError), session.begin_nested():
            broadcast.send(Noted("inside"))
            note(session, "twice")
        broadcast.send(Noted("b"))

    assert reader.names == ["a", "b"]


def test_a_savepoint_decides_over_those_within_it(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session, session.begin():
        outer = session.begin_nested()
        with session.begin_nested():
            broadcast.send(Noted("lost with the outer one"))
        outer.rollback()
        with session.begin_nested():
            broadcast.send(Noted("a"))
            inner = session.begin_nested()
            broadcast.send(Noted("lost with the inner one"))
            inner.rollback()
            broadcast.send(Noted("b"))

    assert reader.names == ["a", "b"]


def test_a_root_that_is_rolled_back_forgets_what_savepoints_released(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as session:
        with session.begin_nested():
            broadcast.send(Noted("a"))
        session.rollback()

    assert reader.names == []


# Which session


def test_the_transaction_begun_last_is_waited_for(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as outer, outer.begin():
        with Session(engine) as inner, inner.begin():
            broadcast.send(Noted("inner"))
        between = reader.names
        broadcast.send(Noted("outer"))

    assert between == ["inner"]
    assert reader.names == ["inner", "outer"]


def test_a_session_may_be_named(broadcast: BroadcastManager, engine: Engine, reader: Reader) -> None:
    with Session(engine) as ours, ours.begin(), Session(engine) as theirs, theirs.begin():
        with transaction_of(ours):
            broadcast.send(Noted("ours"))
        theirs.commit()
        between = reader.names
        theirs.close()

    assert between == []
    assert reader.names == ["ours"]


def test_a_named_session_without_a_transaction_lets_events_leave_at_once(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    with Session(engine) as idle, Session(engine) as busy, busy.begin(), transaction_of(idle):
        broadcast.send(Noted("a"))
        busy.rollback()

    assert reader.names == ["a"]


def test_only_the_sessions_that_are_named_are_followed(engine: Engine) -> None:
    broadcast = BroadcastManager()
    ours, theirs = sessionmaker(engine), sessionmaker(engine)
    follow_commits(broadcast, scoped_session(ours))

    with capture(broadcast) as outbox:
        with ours() as session, session.begin(), theirs() as other, other.begin():
            broadcast.send(Noted("waits for ours"))
            other.commit()
            assert_published(outbox)
        with theirs() as other, other.begin():
            broadcast.send(Noted("leaves at once"))
            other.rollback()

    assert_published(outbox, "waits for ours", "leaves at once")


def assert_published(outbox: Outbox, *names: str) -> None:
    assert [published.message.name for published in outbox] == list(names)


def test_following_twice_publishes_once(broadcast: BroadcastManager, engine: Engine, reader: Reader) -> None:
    follow_commits(broadcast)
    follow_commits(broadcast, Session, sessionmaker())

    with Session(engine) as session, session.begin():
        broadcast.send(Noted("a"))

    assert reader.names == ["a"]


def test_what_makes_no_sessions_is_refused(broadcast: BroadcastManager, engine: Engine) -> None:
    wrong: Any = engine

    with pytest.raises(TypeError, match="makes no sessions; pass a class of sessions"):
        follow_commits(broadcast, wrong)


def test_a_scoped_session_is_followed(broadcast: BroadcastManager, engine: Engine, reader: Reader) -> None:
    session = scoped_session(sessionmaker(engine))

    session.execute(text("INSERT INTO note VALUES ('a')"))
    broadcast.send(Noted("a"))
    session.commit()
    session.remove()

    assert reader.names == ["a"]


def test_threads_wait_each_for_its_own_session(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    together = threading.Barrier(20)

    def work(number: int) -> None:
        with Session(engine) as session:
            session.execute(text("SELECT 1"))
            together.wait(10)
            broadcast.send(Noted(str(number)))
            together.wait(10)
            session.commit() if number % 2 else session.rollback()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(20)))

    assert sorted(map(int, reader.names)) == list(range(1, 20, 2))


def test_a_session_that_is_dropped_is_not_kept_alive(
    broadcast: BroadcastManager, engine: Engine, reader: Reader
) -> None:
    session = Session(engine)
    session.begin()
    broadcast.send(Noted("lost"))
    gone = weakref.ref(session)

    del session
    gc.collect()
    broadcast.send(Noted("at once"))

    assert gone() is None
    assert reader.names == ["at once"]


# In tests of applications


def test_an_outbox_gets_an_event_when_it_is_committed(engine: Engine) -> None:
    broadcast = BroadcastManager()
    follow_commits(broadcast)

    with capture() as outbox, Session(engine) as session:
        session.begin()
        broadcast.send(Noted("lost"))
        session.rollback()
        session.begin()
        broadcast.send(Noted("kept"))
        outbox.assert_nothing_sent()
        session.commit()

    assert_published(outbox, "kept")


def test_a_test_that_rolls_everything_back_finds_what_its_session_committed(
    broadcast: BroadcastManager, engine: Engine
) -> None:
    with capture(broadcast) as outbox, engine.connect() as connection, connection.begin() as everything:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            note(session, "a")
            broadcast.send(Noted("a"))
            session.commit()
        everything.rollback()

    assert_published(outbox, "a")


# Async sessions


async def test_an_async_session_publishes_without_blocking_the_loop(
    broadcast: BroadcastManager, sessions: async_sessionmaker[AsyncSession], reader: Reader
) -> None:
    async with sessions() as session:
        await anote(session, "a")
        await broadcast.asend(Noted("a"))
        broadcast.send(Noted("b"))
        before = reader.names
        await session.commit()

    assert before == []
    assert reader.names == ["a", "b"]
    assert reader.seen == [["a"], ["a"]]
    assert reader.loops == [True, True]


async def test_savepoints_of_an_async_session_count(
    broadcast: BroadcastManager, sessions: async_sessionmaker[AsyncSession], reader: Reader
) -> None:
    async with sessions() as session, session.begin():
        await anote(session, "a")
        async with session.begin_nested():
            await broadcast.asend_many([Noted("a"), Noted("b")])
        lost = await session.begin_nested()
        await broadcast.asend(Noted("lost"))
        await lost.rollback()

    assert reader.names == ["a", "b"]
    assert reader.batches == [2]


async def test_an_async_session_that_is_closed_forgets(
    broadcast: BroadcastManager, sessions: async_sessionmaker[AsyncSession], reader: Reader
) -> None:
    async with sessions() as session:
        await anote(session, "a")
        await broadcast.asend(Noted("lost"))
    await broadcast.asend(Noted("at once"))

    assert reader.names == ["at once"]


async def test_an_async_session_may_be_named_by_a_task_that_did_not_begin_it(
    broadcast: BroadcastManager, sessions: async_sessionmaker[AsyncSession], reader: Reader
) -> None:
    async with sessions() as session:
        await asyncio.create_task(anote(session, "a"))
        with transaction_of(session):
            await broadcast.asend(Noted("a"))
        before = reader.names
        await session.commit()

    assert before == []
    assert reader.names == ["a"]


async def test_only_the_async_sessions_that_are_named_are_followed(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    class Ours(AsyncSession):
        pass

    sessions.class_ = Ours
    broadcast = BroadcastManager()
    follow_commits(broadcast, async_scoped_session(sessions, asyncio.current_task))

    with capture(broadcast) as outbox:
        async with sessions() as ours, ours.begin(), AsyncSession() as theirs, theirs.begin():
            await broadcast.asend(Noted("a"))
            await theirs.commit()
            assert_published(outbox)

    assert_published(outbox, "a")


class Gated(RecordingDriver):
    """Delivers nothing before its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.is_asked = asyncio.Event(), asyncio.Event()

    async def adeliver(self, message: Message) -> None:
        self.is_asked.set()
        await self.gate.wait()
        await super().adeliver(message)


async def cancelled_commit(broadcast: BroadcastManager, session: AsyncSession, gated: Gated) -> None:
    """Send two events in *session*, and have the commit wait no longer when the first is being delivered."""
    broadcast.extend("gated", lambda: gated)
    await session.execute(text("INSERT INTO note VALUES ('a')"))
    for name in ("a", "b"):
        await broadcast.asend(Noted(name), via="gated")
    commit = asyncio.create_task(session.commit())
    async with asyncio.timeout(60):
        await gated.is_asked.wait()
    commit.cancel()
    with suppress(asyncio.CancelledError):
        await commit


async def test_who_waits_for_a_commit_no_longer_stops_nothing_that_was_sent(
    broadcast: BroadcastManager, sessions: async_sessionmaker[AsyncSession]
) -> None:
    gated = Gated()
    async with sessions() as session:
        await cancelled_commit(broadcast, session, gated)
    gated.gate.set()

    await auntil(lambda: len(gated.delivered) == 2)
    assert [message.name for message in gated.delivered] == ["a", "b"]


def test_what_an_event_loop_leaves_undone_when_it_ends_is_logged(
    broadcast: BroadcastManager, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{reader.path}", poolclass=NullPool)
        async with async_sessionmaker(engine)() as session:
            await cancelled_commit(broadcast, session, Gated())
        await engine.dispose()

    asyncio.run(work())

    assert "['a'] could not all be broadcast after the commit" in caplog.text
    assert "1 more sends after a commit were not begun" in caplog.text


async def test_tasks_wait_each_for_its_own_session(
    broadcast: BroadcastManager, sessions: async_sessionmaker[AsyncSession], reader: Reader
) -> None:
    together = asyncio.Barrier(200)

    async def work(number: int) -> None:
        async with sessions() as session:
            await session.execute(text("SELECT 1"))
            await together.wait()
            await broadcast.asend(Noted(str(number)))
            await together.wait()
            await (session.commit() if number % 2 else session.rollback())

    async with sessions() as outer, outer.begin():
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(work(number))
        await broadcast.asend(Noted("outer"))
        published = sorted(map(int, reader.names))

    assert published == list(range(1, 200, 2))
    assert reader.names[-1] == "outer"

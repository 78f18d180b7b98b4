from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, ForeignKey, NullPool, create_engine, event, func, insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    column_property,
    mapped_column,
    relationship,
    sessionmaker,
)

from broadcaster import (
    BroadcastManager,
    ConfigurationError,
    InvalidChannelName,
    UnencodableData,
    current_socket,
)
from broadcaster.contrib.sqlalchemy import (
    BroadcastsEvents,
    Change,
    broadcast_models,
    channel_of,
    pattern_of,
    transaction_of,
)
from broadcaster.testing import Outbox, capture

HERE = "private-tests.contrib.sqlalchemy.test_models"


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Post(BroadcastsEvents, Base):
    __tablename__ = "post"
    broadcast_hidden = ("password",)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str] = mapped_column(default="secret")
    _note: Mapped[str] = mapped_column("note", default="private")
    text: Mapped[str] = mapped_column(default="long", deferred=True)
    views: Mapped[int] = mapped_column(server_default="0", server_onupdate=func.abs(1))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship()
    comments: Mapped[list[Comment]] = relationship(cascade="all, delete-orphan", back_populates="post")


class Comment(BroadcastsEvents, Base):
    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey("post.id"))
    post: Mapped[Post | None] = relationship(back_populates="comments")

    def broadcast_on(self, change: Change) -> Any:
        return [self.post, self.post.author] if self.post is not None else "orphans"

    def broadcast_with(self, change: Change) -> dict[str, Any]:
        return {"text": self.text}


class Note(BroadcastsEvents, Base):
    __tablename__ = "note"
    broadcast_soft_delete = "deleted_at"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="")
    deleted_at: Mapped[datetime | None]


class Line(BroadcastsEvents, Base):
    __tablename__ = "line"
    order: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


class Token(BroadcastsEvents, Base):
    __tablename__ = "token"
    id: Mapped[UUID] = mapped_column(primary_key=True)


class Address(BroadcastsEvents, Base):
    __tablename__ = "address"
    email: Mapped[str] = mapped_column(primary_key=True)


class Employee(BroadcastsEvents, Base):
    __tablename__ = "employee"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]


class Boss(Employee):
    __mapper_args__ = {"polymorphic_identity": "boss"}  # noqa: RUF012


class Engineer(Employee):
    __tablename__ = "engineer"
    __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    language: Mapped[str]


class Card(BroadcastsEvents, MappedAsDataclass, Base):
    __tablename__ = "card"
    id: Mapped[int] = mapped_column(primary_key=True)
    password: Mapped[str]
    broadcast_hidden = ("password",)

    def broadcast_with(self, change: Change) -> Any:
        return {"id": self.id} if change == "created" else None


class Odd(BroadcastsEvents, Base):
    __tablename__ = "odd"
    id: Mapped[int] = mapped_column(primary_key=True)
    broadcast_to_others = True

    def broadcast_with(self, change: Change) -> Any:
        return {"odd": object()} if self.id == 13 else {}


Post.length = column_property(func.length(Post.title))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blog.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with_savepoints(engine)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
async def sessions(engine: Engine, path: Path) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool)
    with_savepoints(async_engine.sync_engine)
    yield async_sessionmaker(async_engine)
    await async_engine.dispose()


def with_savepoints(engine: Engine) -> None:
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))


@pytest.fixture
def broadcast() -> BroadcastManager:
    broadcast = BroadcastManager()
    broadcast_models(broadcast)
    return broadcast


@pytest.fixture
def outbox(broadcast: BroadcastManager) -> Iterator[Outbox]:
    with capture(broadcast) as outbox:
        yield outbox


def names(outbox: Outbox) -> list[str]:
    return [sent.message.name for sent in outbox]


def told(outbox: Outbox) -> list[tuple[str, str, Any]]:
    messages = [sent.message for sent in outbox]
    return [(m.name, ", ".join(m.channels).replace(HERE, ""), json.loads(m.data)) for m in messages]


@pytest.fixture
def hello(engine: Engine) -> int:
    """A post that is there, written by somebody else."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO author VALUES (1, 'Ada')"))
        connection.execute(
            text(
                "INSERT INTO post (id, title, password, note, text, author_id) "
                "VALUES (7, 'Hello', 's', '', '', 1)"
            )
        )
        connection.execute(text("INSERT INTO comment VALUES (1, 'First', 7), (2, 'Second', 7)"))
    return 7


# Changes


def test_a_model_that_is_added_is_announced_after_the_commit(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session:
        session.add(Post(title="Hello"))
        session.flush()
        outbox.assert_nothing_sent()
        session.commit()

    assert told(outbox) == [
        ("PostCreated", ".Post.1", {"model": {"id": 1, "title": "Hello", "views": 0, "author_id": None}})
    ]


def test_a_model_that_changes_is_announced_as_it_was_written(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session, session.begin():
        session.get_one(Post, hello).title = "Hi"

    assert told(outbox) == [
        ("PostUpdated", ".Post.7", {"model": {"id": 7, "title": "Hi", "views": 0, "author_id": 1}})
    ]


def test_a_model_that_is_deleted_is_announced_as_it_was(engine: Engine, outbox: Outbox, hello: int) -> None:
    with Session(engine) as session:
        note = Note(text="gone")
        session.add(note)
        session.commit()
        session.delete(note)
        session.expire(note)
        session.commit()

    assert told(outbox)[1:] == [
        ("NoteDeleted", ".Note.1", {"model": {"id": 1, "text": "gone", "deleted_at": None}})
    ]


def test_what_did_not_really_change_is_not_announced(engine: Engine, outbox: Outbox, hello: int) -> None:
    with Session(engine) as session, session.begin():
        post = session.get_one(Post, hello)
        post.title = "Hi"
        post.title = "Hello"
        post.author = session.get_one(Author, 1)
        post.comments.append(Comment(text="Third"))

    assert names(outbox) == ["CommentCreated"]


def test_an_attribute_set_to_sql_is_announced_with_what_the_database_made_of_it(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session, session.begin():
        session.get_one(Post, hello).title = func.upper(Post.title)

    assert told(outbox)[0][2]["model"]["title"] == "HELLO"


def test_every_flush_announces_what_it_wrote(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        post = Post(title="a")
        session.add(post)
        session.flush()
        post.title = "b"
        session.flush()
        session.flush()
        session.delete(post)

    assert [(name, data["model"]["title"]) for name, _, data in told(outbox)] == [
        ("PostCreated", "a"),
        ("PostUpdated", "b"),
        ("PostDeleted", "b"),
    ]


def test_a_model_that_is_only_read_refreshed_or_expunged_is_not_announced(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session, session.begin():
        post = session.get_one(Post, hello)
        post.title = "lost"
        session.refresh(post)
        session.add(dropped := Post(title="dropped"))
        session.expunge(dropped)

    outbox.assert_nothing_sent()


def test_what_is_merged_is_announced_as_what_it_comes_to(engine: Engine, outbox: Outbox, hello: int) -> None:
    with Session(engine) as session, session.begin():
        session.merge(Note(id=1, text="new"))
        session.merge(Author(id=1, name="Grace"))
        session.merge(Address(email="same@here"))
    with Session(engine) as session, session.begin():
        session.merge(Note(id=1, text="changed"))
        session.merge(Address(email="same@here"))

    assert names(outbox) == ["NoteCreated", "AddressCreated", "NoteUpdated"]


def test_a_new_model_in_the_place_of_a_deleted_one_is_announced_as_created(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session, session.begin():
        session.add(Note(id=1, text="old"))
        session.flush()
        session.delete(session.get_one(Note, 1))
        session.add(Note(id=1, text="new"))

    assert [(name, data["model"]["text"]) for name, _, data in told(outbox)] == [
        ("NoteCreated", "old"),
        ("NoteCreated", "new"),
    ]


def test_cascades_and_orphans_are_announced(engine: Engine, outbox: Outbox, hello: int) -> None:
    with Session(engine) as session, session.begin():
        post = session.get_one(Post, hello)
        post.comments.pop(0)
        session.flush()
        session.delete(post)

    assert [(name, channels) for name, channels, _ in told(outbox)] == [
        ("CommentDeleted", "orphans"),
        ("CommentDeleted", ".Post.7, .Author.1"),
        ("PostDeleted", ".Post.7"),
    ]
    assert [data.get("text") for _, _, data in told(outbox)] == ["First", "Second", None]


def test_statements_and_bulk_methods_announce_nothing(engine: Engine, outbox: Outbox, hello: int) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Post).values(title="Hi"))
        session.execute(insert(Note), [{"text": "a"}, {"text": "b"}])
        session.bulk_save_objects([Note(text="c")])

    outbox.assert_nothing_sent()


def test_a_change_of_the_key_is_announced_on_the_new_channel(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        note = Note(id=1)
        session.add(note)
        session.flush()
        note.id = 2

    assert [channels for _, channels, _ in told(outbox)] == [".Note.1", ".Note.2"]


# Transactions


def test_a_rollback_forgets(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session:
        session.add(Note(id=1))
        session.flush()
        session.rollback()
        session.add(Note(id=2))
        session.commit()

    assert [channels for _, channels, _ in told(outbox)] == [".Note.2"]


def test_a_flush_that_fails_forgets_and_the_next_one_knows_nothing_of_it(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session:
        session.add_all([Note(id=1), Post(title="Hello")])
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        session.add(Note(id=2))
        session.commit()

    assert [channels for _, channels, _ in told(outbox)] == [".Note.2"]


def test_a_savepoint_that_is_rolled_back_forgets_what_was_flushed_in_it(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session, session.begin():
        session.add(Note(id=1))
        with suppress(IntegrityError), session.begin_nested():
            session.add(Note(id=2))
            session.flush()
            session.add(Post(title="Hello"))
        with session.begin_nested():
            session.add(Note(id=3))
        outbox.assert_nothing_sent()

    assert [channels for _, channels, _ in told(outbox)] == [".Note.1", ".Note.3"]


def test_a_flush_is_announced_as_one_batch(engine: Engine, broadcast: BroadcastManager) -> None:
    batches = []

    with capture(broadcast) as outbox, Session(engine) as session:
        event.listen(session, "after_transaction_end", lambda *_: batches.append(len(outbox)))
        session.add_all([Note(), Note(), Note()])
        session.commit()

    assert batches[-1] == 3
    assert len(outbox) == 3


def test_what_is_announced_waits_for_the_session_that_wrote_it(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as ours, ours.begin(), Session(engine) as theirs:
        theirs.begin()
        with transaction_of(theirs):
            ours.add(Note(id=1))
            ours.flush()
        ours.add(Note(id=2))
        ours.flush()
        theirs.rollback()
        outbox.assert_nothing_sent()

    assert [channels for _, channels, _ in told(outbox)] == [".Note.1", ".Note.2"]


# What is told


def test_hidden_private_and_deferred_columns_and_expressions_stay_out(
    engine: Engine, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session, session.begin():
        post = session.get_one(Post, hello)
        assert post.text == ""
        post.title = "Hi"

    assert "password" not in outbox[0].message.data
    assert told(outbox)[0][2]["model"].keys() == {"id", "title", "views", "author_id"}


def test_a_model_that_is_a_dataclass_shows_no_more(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        card = Card(id=1, password="secret")
        session.add(card)
        session.flush()
        card.id = 2

    assert told(outbox) == [
        ("CardCreated", ".Card.1", {"id": 1}),
        ("CardUpdated", ".Card.2", {"model": {"id": 2}}),
    ]


def test_hiding_a_column_that_is_not_there_writes_nothing(engine: Engine, outbox: Outbox) -> None:
    class Typo(Author, BroadcastsEvents):
        broadcast_hidden = ("nam",)

    with Session(engine) as session:
        session.add(Typo(name="Ada"))
        with pytest.raises(ConfigurationError, match="did you mean 'name'"):
            session.commit()

    outbox.assert_nothing_sent()


def test_what_cannot_be_encoded_writes_nothing(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session:
        session.add_all([Odd(id=1), Odd(id=13)])
        with pytest.raises(UnencodableData):
            session.commit()
        session.rollback()
        kept = session.query(Odd).count()

    assert kept == 0
    outbox.assert_nothing_sent()


def test_the_connection_of_the_request_is_left_out_of_what_says_so(engine: Engine, outbox: Outbox) -> None:
    with current_socket("1.2"), Session(engine) as session, session.begin():
        session.add_all([Odd(id=1), Note(id=1)])

    assert {sent.message.name: sent.message.except_socket for sent in outbox} == {
        "OddCreated": "1.2",
        "NoteCreated": None,
    }


def test_a_change_may_be_announced_by_hand_and_waits_as_well(
    engine: Engine, broadcast: BroadcastManager, outbox: Outbox, hello: int
) -> None:
    with Session(engine) as session:
        post = session.get_one(Post, hello)
        broadcast.send(post.broadcast_event("updated", on=["lobby", session.get_one(Author, 1)]))
        outbox.assert_nothing_sent()
        session.commit()

    assert [(name, channels) for name, channels, _ in told(outbox)] == [("PostUpdated", "lobby, .Author.1")]


def test_what_is_flushed_without_broadcasting_is_not_announced(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        with Note.without_broadcasting():
            session.add_all([Note(id=1), Odd(id=1)])
            session.flush()
        session.add(Note(id=2))

    assert [channels for _, channels, _ in told(outbox)] == [".Odd.1", ".Note.2"]


# Soft deletes


def now() -> datetime:
    return datetime(2026, 1, 2)  # noqa: DTZ001 - SQLite keeps no time zones


def soft(engine: Engine, *, deleted: bool = False) -> None:
    with engine.begin() as connection:
        at = "'2026-01-01 00:00:00'" if deleted else "NULL"
        connection.execute(text(f"INSERT INTO note VALUES (1, 'a', {at})"))


def test_a_soft_delete_is_announced_as_trashed_and_as_deleted(engine: Engine, outbox: Outbox) -> None:
    soft(engine)
    with Session(engine) as session, session.begin():
        session.get_one(Note, 1).deleted_at = now()

    assert names(outbox) == ["NoteTrashed", "NoteDeleted"]
    assert told(outbox)[0][2]["model"]["deleted_at"] == "2026-01-02T00:00:00"


def test_what_is_restored_is_announced_as_updated_and_as_restored(engine: Engine, outbox: Outbox) -> None:
    soft(engine, deleted=True)
    with Session(engine) as session, session.begin():
        note = session.get_one(Note, 1)
        note.deleted_at = None
        session.flush()
        note.deleted_at = now()

    assert names(outbox) == ["NoteUpdated", "NoteRestored", "NoteTrashed", "NoteDeleted"]


def test_other_changes_of_a_model_with_soft_deletes_are_updates(engine: Engine, outbox: Outbox) -> None:
    soft(engine, deleted=True)
    with Session(engine) as session, session.begin():
        note = session.get_one(Note, 1)
        note.text = "b"
        session.flush()
        note.deleted_at = now()

    assert names(outbox) == ["NoteUpdated", "NoteUpdated"]


@pytest.mark.parametrize("was_deleted", [False, True])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_soft_delete_of_what_was_not_loaded_is_compared_with_the_database(
    engine: Engine, outbox: Outbox, was_deleted: bool, deleted: bool
) -> None:
    soft(engine, deleted=was_deleted)
    with Session(engine) as session, session.begin():
        note = session.get_one(Note, 1)
        session.expire(note)
        note.text = "b"
        note.deleted_at = now() if deleted else None

    assert (
        names(outbox)
        == {
            (False, False): ["NoteUpdated"],
            (False, True): ["NoteTrashed", "NoteDeleted"],
            (True, False): ["NoteUpdated", "NoteRestored"],
            (True, True): ["NoteUpdated"],
        }[was_deleted, deleted]
    )


def test_a_soft_delete_may_be_an_expression_of_sql(engine: Engine, outbox: Outbox) -> None:
    soft(engine)
    with Session(engine) as session, session.begin():
        session.get_one(Note, 1).deleted_at = func.now()

    assert names(outbox) == ["NoteTrashed", "NoteDeleted"]
    assert told(outbox)[0][2]["model"]["deleted_at"] is not None


def test_what_is_created_deleted_or_really_deleted_is_announced_once(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        note = Note(deleted_at=now())
        session.add(note)
        session.flush()
        session.delete(note)

    assert names(outbox) == ["NoteCreated", "NoteDeleted"]


def test_a_soft_delete_by_a_column_that_is_not_there_is_refused(engine: Engine, outbox: Outbox) -> None:
    class Slip(Note):
        broadcast_soft_delete = "delete_at"

    with Session(engine) as session:
        session.add(slip := Slip())
        session.commit()
        slip.text = "b"
        with pytest.raises(ConfigurationError, match=r"Slip\.broadcast_soft_delete .*mean 'deleted_at'"):
            session.commit()


# Channels


def test_a_key_of_several_columns_has_commas(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        session.add(Line(order=7, number=3))

    assert told(outbox)[0][1] == ".Line.7,3"


def test_a_uuid_stands_in_the_name_as_it_is_written(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session, session.begin():
        session.add(Token(id=UUID(int=1)))

    assert told(outbox)[0][1] == ".Token.00000000-0000-0000-0000-000000000001"


def test_a_key_that_no_name_may_hold_writes_nothing(engine: Engine, outbox: Outbox) -> None:
    with Session(engine) as session:
        session.add(Address(email="ada@example.org"))
        with pytest.raises(InvalidChannelName, match=r"return channels of your own from broadcast_on\(\)"):
            session.commit()

    outbox.assert_nothing_sent()


def test_a_model_without_a_key_has_no_channel() -> None:
    with pytest.raises(InvalidChannelName, match="has no key before it is written"):
        channel_of(Author(name="Ada"))


@pytest.mark.parametrize("thing", [7, {"lobby": 1}, Post])
def test_what_is_no_model_has_no_channel(thing: object) -> None:
    with pytest.raises(TypeError, match="is neither a channel nor a model"):
        channel_of(thing)
    with pytest.raises(TypeError, match="is neither a channel nor a model"):
        Token(id=UUID(int=1)).broadcast_event("updated", on=thing).broadcast_on()


def test_the_channel_of_a_model_that_is_expired_needs_no_loading(engine: Engine, hello: int) -> None:
    with Session(engine) as session:
        author = session.get_one(Author, 1)
        session.commit()
    assert channel_of(author).name == f"{HERE}.Author.1"


def test_the_pattern_of_a_model_is_that_of_its_channels() -> None:
    assert pattern_of(Author) == f"{HERE.removeprefix('private-')}.Author.{{author}}"


def test_models_that_inherit_tables_are_announced_by_their_own_classes(
    engine: Engine, outbox: Outbox
) -> None:
    with Session(engine) as session, session.begin():
        session.add_all([Boss(name="Ada"), Engineer(name="Grace", language="COBOL")])
        session.flush()
        session.query(Engineer).one().name = "Hopper"
        session.flush()
        session.query(Engineer).one().language = "Python"
        session.flush()
        session.delete(session.query(Engineer).one())

    engineer = {"id": 2, "kind": "engineer", "name": "Hopper", "language": "Python"}
    assert sorted(told(outbox)[:2]) == [
        ("BossCreated", ".Boss.1", {"model": {"id": 1, "kind": "boss", "name": "Ada"}}),
        ("EngineerCreated", ".Engineer.2", {"model": {**engineer, "name": "Grace", "language": "COBOL"}}),
    ]
    assert told(outbox)[2:] == [
        ("EngineerUpdated", ".Engineer.2", {"model": {**engineer, "language": "COBOL"}}),
        ("EngineerUpdated", ".Engineer.2", {"model": engineer}),
        ("EngineerDeleted", ".Engineer.2", {"model": engineer}),
    ]


# Managers


def test_a_manager_announces_the_sessions_it_was_given_once(engine: Engine) -> None:
    class Shop(Session):
        pass

    class Blog(Session):
        pass

    shop, both = BroadcastManager(), BroadcastManager()
    broadcast_models(shop, shop_sessions := sessionmaker(engine, class_=Shop))
    broadcast_models(both, Shop)
    broadcast_models(both, Shop, Blog)

    with capture(shop) as of_shop, capture(both) as of_both:
        with shop_sessions.begin() as session:
            session.add(Note(id=1))
        with Blog(engine) as other, other.begin():
            other.add(Note(id=2))

    assert [channels for _, channels, _ in told(of_shop)] == [".Note.1"]
    assert [channels for _, channels, _ in told(of_both)] == [".Note.1", ".Note.2"]


def test_a_manager_that_is_gone_is_not_kept_alive() -> None:
    broadcast = BroadcastManager()
    broadcast_models(broadcast)
    gone = weakref.ref(broadcast)

    del broadcast
    gc.collect()

    assert gone() is None


def test_a_model_that_was_announced_is_not_kept_alive(engine: Engine) -> None:
    broadcast_models(broadcast := BroadcastManager())
    with Session(engine) as session, capture(broadcast) as outbox:
        session.add(note := Note())
        session.commit()
        outbox.clear()
        gone = weakref.ref(note)
        del note
        gc.collect()

        assert gone() is None


def test_threads_announce_each_for_its_own_session(engine: Engine, outbox: Outbox) -> None:
    def work(number: int) -> None:
        with Session(engine) as session:
            session.connection(execution_options={"timeout": 30})
            with Note.without_broadcasting() if number % 3 == 0 else nullcontext():
                session.add(Note(id=number))
                session.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(1, 25)))

    assert sorted(int(channels.rpartition(".")[2]) for _, channels, _ in told(outbox)) == [
        number for number in range(1, 25) if number % 3
    ]


# Async sessions


async def test_an_async_session_announces_what_it_wrote(
    sessions: async_sessionmaker[AsyncSession], outbox: Outbox, hello: int
) -> None:
    async with sessions() as session:
        post = await session.get_one(Post, hello)
        post.title = "Hi"
        session.add_all([Post(title="New"), comment := Comment(text="Third", post_id=hello)])
        await session.commit()
        await session.delete(comment)
        await session.commit()

    assert sorted((name, channels) for name, channels, _ in told(outbox)) == [
        ("CommentCreated", ".Post.7, .Author.1"),
        ("CommentDeleted", ".Post.7, .Author.1"),
        ("PostCreated", ".Post.8"),
        ("PostUpdated", ".Post.7"),
    ]


async def test_an_async_session_that_rolls_back_forgets(
    sessions: async_sessionmaker[AsyncSession], outbox: Outbox
) -> None:
    async with sessions() as session:
        session.add(Note(id=1))
        await session.flush()
        await session.rollback()
        async with session.begin():
            session.add(Note(id=2))
            lost = await session.begin_nested()
            session.add(Note(id=3))
            await session.flush()
            await lost.rollback()

    assert [channels for _, channels, _ in told(outbox)] == [".Note.2"]


async def test_tasks_announce_each_for_its_own_session(
    sessions: async_sessionmaker[AsyncSession], outbox: Outbox
) -> None:
    turn = asyncio.Lock()

    async def work(number: int) -> None:
        with Note.without_broadcasting() if number % 3 == 0 else nullcontext():
            async with turn, sessions() as session, session.begin():
                session.add(Note(id=number))

    await asyncio.gather(*map(work, range(1, 25)))

    assert sorted(int(channels.rpartition(".")[2]) for _, channels, _ in told(outbox)) == [
        number for number in range(1, 25) if number % 3
    ]

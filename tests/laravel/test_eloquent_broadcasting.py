"""What Laravel's own tests say of model broadcasting, `DatabaseEloquentBroadcastingTest`, in their order.

Where this page differs, Laravel's namespace is Python's dotted path, and its placeholders are in snake case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from broadcaster import BroadcastManager
from broadcaster.contrib.sqlalchemy import BroadcastsEvents, Change, broadcast_models, channel_of, pattern_of
from broadcaster.testing import Outbox, capture

HERE = "tests.laravel.test_eloquent_broadcasting"


class Base(DeclarativeBase):
    pass


class TestEloquentBroadcastUser(BroadcastsEvents, Base):
    __test__ = False
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="Taylor")


class SoftDeletableUser(BroadcastsEvents, Base):
    __tablename__ = "soft_deletable_users"
    broadcast_soft_delete = "deleted_at"
    id: Mapped[int] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime | None]


class UserOnSpecificEventsOnly(BroadcastsEvents, Base):
    __tablename__ = "users_on_specific_events_only"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="Taylor")

    def broadcast_on(self, change: Change) -> Any:
        return [self] if change == "created" else []


class UserWithSpecificBroadcastName(BroadcastsEvents, Base):
    __tablename__ = "users_with_specific_broadcast_name"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="Taylor")

    def broadcast_as(self, change: Change) -> str | None:
        return "foo" if change == "created" else None


class UserWithSpecificBroadcastPayload(BroadcastsEvents, Base):
    __tablename__ = "users_with_specific_broadcast_payload"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="Taylor")

    def broadcast_with(self, change: Change) -> Mapping[str, Any] | None:
        return {"foo": "bar"} if change == "created" else None


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    broadcast = BroadcastManager()
    broadcast_models(broadcast)
    with capture(broadcast) as outbox:
        yield outbox


def save(session: Session, model: object) -> None:
    session.add(model)
    session.commit()


def test_basic_broadcasting(session: Session, outbox: Outbox) -> None:
    user = TestEloquentBroadcastUser(name="Taylor Otwell")
    save(session, user)

    [sent] = outbox
    assert sent.message.channels == (f"private-{HERE}.TestEloquentBroadcastUser.{user.id}",)


def test_channel_route_formatting() -> None:
    assert pattern_of(TestEloquentBroadcastUser) == (
        f"{HERE}.TestEloquentBroadcastUser.{{test_eloquent_broadcast_user}}"
    )


def test_broadcasting_on_model_trashing(session: Session, outbox: Outbox) -> None:
    user = SoftDeletableUser()
    save(session, user)
    outbox.clear()

    user.deleted_at = datetime(2026, 1, 2)  # noqa: DTZ001 - SQLite keeps no time zones
    session.commit()

    channel = channel_of(user)
    outbox.assert_sent("SoftDeletableUserTrashed", channel=channel, times=1)
    outbox.assert_sent("SoftDeletableUserDeleted", channel=channel, times=1)
    assert len(outbox) == 2


def test_broadcasting_for_specific_events_only(session: Session, outbox: Outbox) -> None:
    user = UserOnSpecificEventsOnly()
    save(session, user)
    outbox.assert_sent("UserOnSpecificEventsOnlyCreated", channel=channel_of(user), times=1)
    outbox.clear()

    user.name = "Otwell"
    session.commit()

    outbox.assert_nothing_sent()


def test_broadcast_name_default(session: Session, outbox: Outbox) -> None:
    save(session, TestEloquentBroadcastUser())

    assert [sent.message.name for sent in outbox] == ["TestEloquentBroadcastUserCreated"]


def test_broadcast_name_can_be_defined(session: Session, outbox: Outbox) -> None:
    user = UserWithSpecificBroadcastName()
    save(session, user)
    user.name = "Otwell"
    session.commit()

    assert [sent.message.name for sent in outbox] == ["foo", "UserWithSpecificBroadcastNameUpdated"]


def test_broadcast_payload_default(session: Session, outbox: Outbox) -> None:
    """Laravel adds `connection`, `queue` and `socket`; they are settings, and no browser's business."""
    save(session, TestEloquentBroadcastUser(name="Nuno"))

    assert [json.loads(sent.message.data) for sent in outbox] == [{"model": {"id": 1, "name": "Nuno"}}]


def test_broadcast_payload_can_be_defined(session: Session, outbox: Outbox) -> None:
    user = UserWithSpecificBroadcastPayload()
    save(session, user)
    user.name = "Otwell"
    session.commit()

    assert [json.loads(sent.message.data) for sent in outbox] == [
        {"foo": "bar"},
        {"model": {"id": 1, "name": "Otwell"}},
    ]

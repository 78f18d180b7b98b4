"""Who is on which channels, as the HTTP API wants to know it: of one node here, of all of them elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from broadcaster.channels import USER_PREFIX
from broadcaster.protocol.hub import Hub

__all__ = ["Census", "Channels", "Counts", "Occupancy", "Question", "UsersOn", "is_listed", "take_census"]


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many connections there are on a channel, and how many users."""

    connections: int = 0
    users: int = 0


@dataclass(frozen=True, slots=True)
class Channels:
    """Asks for the occupied channels whose names begin with *prefix*; see `is_listed()`."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Asks how many are on each of *channels*."""

    channels: Sequence[str]


@dataclass(frozen=True, slots=True)
class UsersOn:
    """Asks for the ids of the users on a presence channel."""

    channel: str


Question: TypeAlias = Channels | Counts | UsersOn


@dataclass(frozen=True, slots=True)
class Census:
    """The answer to a question: the *channels* that are occupied, or the *users* on one."""

    channels: Mapping[str, Occupancy] = field(default_factory=dict)
    users: Sequence[str] = ()


def is_listed(channel: str, prefix: str) -> bool:
    """Whether *channel* is one of those that begin with *prefix*; those of single users only by theirs."""
    return channel.startswith(prefix) and (bool(prefix) or not channel.startswith(USER_PREFIX))


def take_census(hub: Hub, question: Question) -> Census:
    """Answer *question* by what *hub* knows, which is sure of the connections of its own node only."""
    match question:
        case Channels(prefix):
            return _counted(hub, [channel for channel in hub.channels if is_listed(channel, prefix)])
        case Counts(channels):
            return _counted(hub, channels)
        case UsersOn(channel):
            return Census(users=list(hub.users_of(channel)))


def _counted(hub: Hub, channels: Sequence[str]) -> Census:
    return Census(
        {
            channel: Occupancy(len(subscribers), subscribers.user_count)
            for channel in channels
            if (subscribers := hub.channels.get(channel)) is not None
        }
    )

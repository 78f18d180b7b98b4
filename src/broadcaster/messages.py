"""A message: an event resolved to a name, channels and JSON; and who the people on a channel are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Member", "Message", "SignIn"]


@dataclass(frozen=True, slots=True)
class Message:
    """What drivers deliver; everything in it is text, and nothing in it refers to the event's class.

    *data* is JSON text, encoded once. *except_socket* is the connection that must not get the
    message, or None. *id* stays the same however often the message is tried again.
    """

    name: str
    channels: tuple[str, ...]
    data: str
    except_socket: str | None = None
    id: str = field(default_factory=lambda: os.urandom(16).hex())


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody on a presence channel, as everybody there sees them.

    *id* tells people apart: one who has two windows is there once. *info* is whatever JSON can express,
    a name and a picture perhaps; None says nothing. Raises `ValueError` for an empty id.
    """

    id: str
    info: object = None

    def __init__(self, id: object, info: object = None) -> None:  # noqa: A002 - the protocol's word
        object.__setattr__(self, "id", _user_id(id))
        object.__setattr__(self, "info", info)


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who somebody is for the whole of a connection: <https://pusher.com/docs/channels/using_channels/user-authentication/>.

    *id* and *info* are as in `Member`. *watchlist* holds the ids of others whose coming and going the
    client is told of; servers take up to a hundred. Raises `ValueError` for an empty id.
    """

    id: str
    info: object = None
    watchlist: tuple[str, ...] = ()

    def __init__(self, id: object, info: object = None, watchlist: Iterable[object] = ()) -> None:  # noqa: A002
        object.__setattr__(self, "id", _user_id(id))
        object.__setattr__(self, "info", info)
        object.__setattr__(self, "watchlist", tuple(map(_user_id, watchlist)))


def _user_id(given: object) -> str:
    # An int, a UUID: what keys of users are. True and None would be an accident, and the same for everybody.
    text = "" if given is None or isinstance(given, bool) else str(given)
    if not text:
        raise ValueError(f"{given!r} is nobody's id; a number or a text that is not empty is expected")
    return text

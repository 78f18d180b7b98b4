"""The room itself: what the applications here have in common."""

from __future__ import annotations

from http.cookies import SimpleCookie

from broadcaster import BroadcastManager, Event, Member, PresenceChannel, SignIn

__all__ = ["MessageSent", "broadcast", "cookie_of", "name_in"]

broadcast = BroadcastManager.from_env()


class MessageSent(Event):
    by: str
    text: str

    def broadcast_on(self) -> PresenceChannel:
        return PresenceChannel("rooms.lobby")


@broadcast.channel("rooms.{room}")
def who_is_there(user: str, room: str) -> Member:
    return Member(user, {"name": user})


@broadcast.channel("users.{name}")
def is_oneself(user: str, name: str) -> bool:
    return user == name


broadcast.rules.sign_in(SignIn)


def cookie_of(name: str) -> str:
    """Return the cookie that signs somebody in; nobody but the tests would take it for one."""
    return f"name={name}"


def name_in(cookies: str) -> str | None:
    """Return who is signed in by the header *cookies*."""
    found = SimpleCookie(cookies).get("name")
    return None if found is None else str(found.value)

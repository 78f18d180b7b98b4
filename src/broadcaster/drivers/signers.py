"""What tells a server that the application gave its leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from broadcaster.channels import Kind, kind_of
from broadcaster.context import is_socket_id, is_token
from broadcaster.encoding import encode
from broadcaster.encryption import shared_secret
from broadcaster.errors import Forbidden, InvalidSocketId
from broadcaster.messages import Member, SignIn
from broadcaster.rules import Grant
from broadcaster.signing import Credentials

__all__ = ["AblySigner", "EchoServerSigner", "NoSigner", "PusherSigner", "Signer"]


class Signer(Protocol):
    """Makes the answer that a browser hands on to its server; the answer is what JSON can express."""

    def check(self, socket_id: str) -> None:
        """Raise `InvalidSocketId` for what no client of the server is called."""
        ...

    def channel(self, socket_id: str, grant: Grant) -> Any:
        """Return the answer for one connection and one channel; raise `Forbidden` for what it cannot sign."""
        ...

    def user(self, socket_id: str, who: SignIn) -> Any:
        """Return the answer that signs one connection in; raise `Forbidden` where there is no such thing."""
        ...


@dataclass(frozen=True, slots=True)
class PusherSigner:
    """Signs for a server that speaks Pusher's protocol.

    Source: <https://pusher.com/docs/channels/library_auth_reference/auth-signatures/>.
    """

    credentials: Credentials
    encryption_key: bytes | None = field(default=None, repr=False)

    def check(self, socket_id: str) -> None:
        """Raise `InvalidSocketId` for anything but digits, a dot and digits."""
        if not is_socket_id(socket_id):
            raise InvalidSocketId(socket_id)

    def channel(self, socket_id: str, grant: Grant) -> dict[str, str]:
        """Return `auth`, with `channel_data` for a member and `shared_secret` for an encrypted channel."""
        answer = {}
        data = None
        if kind_of(grant.channel) is Kind.ENCRYPTED:
            if self.encryption_key is None:
                reason = "there is no key to encrypt with: set PUSHER_ENCRYPTION_MASTER_KEY"
                raise Forbidden(reason, channel=grant.channel)
            answer["shared_secret"] = shared_secret(self.encryption_key, grant.channel)
        elif grant.member is not None:
            # Signed is this very text, so it travels as text within the JSON of the answer.
            data = answer["channel_data"] = encode(_member(grant.member), root="Member")
        return {"auth": self.credentials.channel_auth(socket_id, grant.channel, data), **answer}

    def user(self, socket_id: str, who: SignIn) -> dict[str, str]:
        """Return `auth` and `user_data`."""
        data = encode(_user(who), root="SignIn")
        return {"auth": self.credentials.user_auth(socket_id, data), "user_data": data}


@dataclass(frozen=True, slots=True)
class AblySigner:
    """Signs for Ably's Pusher adapter, with the name and the secret of an API key.

    Ably's clients have ids of another shape. Ably knows no signing in, and seals no channel.
    """

    credentials: Credentials

    def check(self, socket_id: str) -> None:
        """Raise `InvalidSocketId` for what is no token."""
        if not is_token(socket_id):
            raise InvalidSocketId(socket_id)

    def channel(self, socket_id: str, grant: Grant) -> dict[str, str]:
        """Return `auth`, with `channel_data` for a member."""
        _refuse_encryption(grant, "ably")
        parts, answer = [socket_id, grant.channel], {}
        if grant.member is not None:
            answer["channel_data"] = encode(_member(grant.member), root="Member")
            parts.append(answer["channel_data"])
        signature = self.credentials.signature(":".join(parts))
        return {"auth": f"{self.credentials.key}:{signature}", **answer}

    def user(self, socket_id: str, who: SignIn) -> Any:
        """Raise `Forbidden`."""
        raise Forbidden("Ably knows no signing in", channel=None)


class EchoServerSigner:
    """Answers as Laravel does where laravel-echo-server asks, which takes the application's word."""

    def check(self, socket_id: str) -> None:
        """Take any token: such a server may send none that means anything."""
        if socket_id and not is_token(socket_id):
            raise InvalidSocketId(socket_id)

    def channel(self, socket_id: str, grant: Grant) -> Any:
        """Return True, or `channel_data` as an object."""
        _refuse_encryption(grant, "redis")
        return True if grant.member is None else {"channel_data": _member(grant.member)}

    def user(self, socket_id: str, who: SignIn) -> Any:
        """Raise `Forbidden`."""
        raise Forbidden("laravel-echo-server knows no signing in", channel=None)


class NoSigner:
    """Answers where nobody listens: with a driver such as `log`, rules can be tried all the same."""

    def check(self, socket_id: str) -> None:
        """Raise `InvalidSocketId` for what is no token."""
        if not is_token(socket_id):
            raise InvalidSocketId(socket_id)

    def channel(self, socket_id: str, grant: Grant) -> dict[str, str]:
        """Return an `auth` that signs nothing, and `channel_data` for a member."""
        if grant.member is None:
            return {"auth": ""}
        return {"auth": "", "channel_data": encode(_member(grant.member), root="Member")}

    def user(self, socket_id: str, who: SignIn) -> dict[str, str]:
        """Return an `auth` that signs nothing, and `user_data`."""
        return {"auth": "", "user_data": encode(_user(who), root="SignIn")}


def _member(member: Member) -> dict[str, object]:
    info = {} if member.info is None else {"user_info": member.info}
    return {"user_id": member.id, **info}


def _user(who: SignIn) -> dict[str, object]:
    info = {} if who.info is None else {"user_info": who.info}
    watchlist = {"watchlist": who.watchlist} if who.watchlist else {}
    return {"id": who.id, **info, **watchlist}


def _refuse_encryption(grant: Grant, driver: str) -> None:
    if kind_of(grant.channel) is Kind.ENCRYPTED:
        raise Forbidden(f"driver {driver!r} cannot encrypt", channel=grant.channel)

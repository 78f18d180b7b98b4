"""Whether a connection may join a channel, or be a user: signatures and what they cover."""

from __future__ import annotations

from typing import Any

from broadcaster.channels import USER_PREFIX, Kind, kind_of
from broadcaster.encoding import decode, encode
from broadcaster.errors import ProtocolViolation, UnencodableData
from broadcaster.protocol.app import App
from broadcaster.protocol.codes import Code
from broadcaster.protocol.commands import SignIn, Subscribe
from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.tally import Tally
from broadcaster.signing import Credentials

__all__ = ["SubscriptionRefused", "Verifier"]


class SubscriptionRefused(Exception):
    """Why a subscription fails: the fields of `pusher:subscription_error`."""

    def __init__(self, kind: str, message: str, status: int) -> None:
        super().__init__(message)
        self.kind, self.message, self.status = kind, message, status


class Verifier:
    """Checks signatures over the exact text that was received, never over a spelling of our own.

    Those that do not fit are counted in *tally*.
    """

    def __init__(self, app: App, tally: Tally) -> None:
        self._tally = tally
        self._keyring = app.keyring
        self._limits = app.limits

    def admit(self, connection: Connection, command: Subscribe) -> User | None:
        """Return the member that joins a presence channel, None on any other kind of channel.

        Raises `SubscriptionRefused`.
        """
        kind = kind_of(command.channel)
        if kind is Kind.USER:
            self._check_own_channel(connection, command.channel)
        elif kind.guarded:
            covered = command.channel_data if kind is Kind.PRESENCE else None
            signer = self._signer_of(command.auth)
            if signer is None or not Credentials.matches(
                signer.channel_auth(connection.socket_id, command.channel, covered), command.auth
            ):
                self._tally.unsigned["channel"] += 1
                raise _unauthorized(
                    f"Invalid signature for {command.channel} and socket {connection.socket_id}"
                )
            if kind is Kind.PRESENCE:
                return self._member(connection, command.channel_data)
        return None

    def user(self, connection: Connection, command: SignIn) -> User | None:
        """Return who the connection signs in as, None when the signature is wrong.

        Raises `ProtocolViolation` for signed data that does not describe a user.
        """
        signer = self._signer_of(command.auth)
        if signer is None or not Credentials.matches(
            signer.user_auth(connection.socket_id, command.user_data), command.auth
        ):
            self._tally.unsigned["user"] += 1
            return None
        data = _json_object(command.user_data)
        user_id = data.get("id") if data is not None else None
        if data is None or not isinstance(user_id, str) or not user_id:
            # pusher-js takes a sign-in with any other id for a failed one.
            raise ProtocolViolation(Code.UNAUTHORIZED, "user_data needs an id: a string that is not empty")
        watchlist = data.get("watchlist")
        if watchlist is None:
            watchlist = []
        if not isinstance(watchlist, list) or not all(isinstance(watched, str) for watched in watchlist):
            raise ProtocolViolation(Code.UNAUTHORIZED, "watchlist must be a list of user ids")
        return User(user_id, data.get("user_info"), tuple(dict.fromkeys(watchlist)))

    def _signer_of(self, auth: str) -> Credentials | None:
        return self._keyring.get(auth.partition(":")[0])

    def _check_own_channel(self, connection: Connection, channel: str) -> None:
        if connection.user is None or channel != USER_PREFIX + connection.user.id:
            raise _unauthorized("The channel belongs to a user that this connection is not signed in as")

    def _member(self, connection: Connection, channel_data: str | None) -> User:
        if channel_data is None:
            if connection.user is None:
                raise _malformed("channel_data is missing, and the connection is not signed in")
            return self._sized(connection.user.id, connection.user.info)
        data = _json_object(channel_data)
        if data is None:
            raise _malformed("channel_data is not a JSON object")
        user_id = data.get("user_id")
        if isinstance(user_id, bool) or not isinstance(user_id, str | int) or user_id == "":
            raise _malformed("channel_data needs a user_id: a string or an integer")
        return self._sized(str(user_id), data.get("user_info"))

    def _sized(self, user_id: str, info: Any) -> User:
        if len(user_id) > self._limits.presence_user_id:
            raise _too_large(f"The user_id is longer than {self._limits.presence_user_id} characters")
        # An object, because Echo hands it to `here()` as it is: null would break `member.name`.
        info = {} if info is None else info
        try:
            size = len(encode(info).encode())
            # Frames hold it this deep: what cannot be said to the members must not become one of them.
            encode({"presence": {"hash": {user_id: info}}})
        except UnencodableData:
            raise _malformed("user_info holds a number out of range, or is nested too deep") from None
        if size > self._limits.presence_user_info:
            raise _too_large(f"The user_info is larger than {self._limits.presence_user_info} bytes")
        return User(user_id, info)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = decode(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _unauthorized(message: str) -> SubscriptionRefused:
    return SubscriptionRefused("AuthError", message, 401)


def _malformed(message: str) -> SubscriptionRefused:
    return SubscriptionRefused("AuthError", message, 400)


def _too_large(message: str) -> SubscriptionRefused:
    return SubscriptionRefused("LimitReached", message, 4301)

"""The HTTP API: a function from a request value to a response value.

Rules: <https://pusher.com/docs/channels/library_auth_reference/rest-api/>.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from broadcaster.channels import Kind, kind_of
from broadcaster.encoding import encode
from broadcaster.protocol.api_auth import check_signature
from broadcaster.protocol.api_bodies import Trigger, read_batch, read_ids, read_info, read_trigger
from broadcaster.protocol.api_errors import ApiError
from broadcaster.protocol.api_routes import find_route
from broadcaster.protocol.census import Census, Channels, Counts, Occupancy, Question, UsersOn, take_census
from broadcaster.protocol.effects import Effect
from broadcaster.protocol.hub import Hub

__all__ = ["ApiRequest", "ApiResponse", "Inquiry", "answer"]

_JSON = (("Content-Type", "application/json"),)
_EMPTY = Occupancy()
_NOBODY = Census()

_Written: TypeAlias = Callable[[Census], dict[str, Any]]
"""Writes the body of an answer."""


class ApiRequest(NamedTuple):
    """A request as it came: *path* still percent-encoded, *query* decoded.

    *ids* is the header `X-Idempotency-Key`, empty when there is none; *headers* are all of them, with their
    names in lower case.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    ids: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()

    def __repr__(self) -> str:
        # The rest is signed, or secret.
        return f"ApiRequest({self.method!r}, {self.path!r})"


class ApiResponse(NamedTuple):
    """The answer: JSON when *status* is 200, a sentence of plain text otherwise, unless *head* says what."""

    status: int
    body: str
    effects: Sequence[Effect] = ()
    allow: str | None = None
    head: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that go with the body."""
        if self.head or self.status == 200:
            return self.head or _JSON
        allowed = [("Allow", self.allow)] if self.allow else []
        later = [("Retry-After", "1")] if self.status in {429, 503} else []
        return (("Content-Type", "text/plain; charset=utf-8"), *allowed, *later)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is answered when *question* is, of all nodes; the *effects* do not wait for that."""

    question: Question
    effects: Sequence[Effect]
    _written: _Written

    def answer(self, census: Census) -> ApiResponse:
        """Return the answer, now that it is known."""
        return ApiResponse(200, encode(self._written(census)))


def answer(hub: Hub, request: ApiRequest, *, now: float) -> ApiResponse | Inquiry:
    """Answer a request to `/apps/{app_id}/...`; *now* is Unix time in seconds.

    It is an inquiry where other nodes have to be asked.
    """
    try:
        handler, argument = _handler(request)
        check_signature(hub.keyring, request.method, request.path, request.query, request.body, now=now)
        _check_replay(hub, request)
        _check_rate(hub, now)
        question, written, effects = handler(hub, request, argument)
    except ApiError as error:
        if error.status == 401:
            hub.tally.unsigned["api"] += 1
        return ApiResponse(error.status, error.message, allow=error.allow)
    if question is None:
        return ApiResponse(200, "{}", effects)
    if hub.has_peers:
        return Inquiry(question, effects, written)
    return ApiResponse(200, encode(written(take_census(hub, question))), effects)


def _check_replay(hub: Hub, request: ApiRequest) -> None:
    once = hub.app.refuse_replays and request.method == "POST"
    if once and hub.is_replay(_params(request)["auth_signature"]):
        raise ApiError(401, "this very request has been taken before: sign it anew")


def _check_rate(hub: Hub, now: float) -> None:
    if not hub.takes_request(now):
        hub.tally.limited["api"] += 1
        raise ApiError(429, "too many requests to this application; try again in a second")


_Answer: TypeAlias = tuple[Question | None, _Written, list[Effect]]
"""What has to be asked, if anything; what writes the body then, and otherwise an empty object; effects."""

_Handler: TypeAlias = Callable[[Hub, ApiRequest, str], _Answer]


def _events(hub: Hub, request: ApiRequest, _: str) -> _Answer:
    trigger = read_trigger(request.body, hub.app.limits)
    effects = _push(hub, [trigger], request.ids)
    if not trigger.info:
        return None, _nothing, effects
    return (
        Counts(trigger.channels),
        lambda census: {
            "channels": {channel: _attributes(census, channel, trigger.info) for channel in trigger.channels}
        },
        effects,
    )


def _batch_events(hub: Hub, request: ApiRequest, _: str) -> _Answer:
    triggers = read_batch(request.body, hub.app.limits)
    effects = _push(hub, triggers, request.ids)
    if not any(trigger.info for trigger in triggers):
        return None, _nothing, effects
    return (
        Counts([trigger.channels[0] for trigger in triggers if trigger.info]),
        lambda census: {
            "batch": [_attributes(census, trigger.channels[0], trigger.info) for trigger in triggers]
        },
        effects,
    )


def _channels(_: Hub, request: ApiRequest, __: str) -> _Answer:
    query = _params(request)
    prefix = query.get("filter_by_prefix", "")
    info = read_info(query.get("info", ""))
    if "user_count" in info and kind_of(prefix) is not Kind.PRESENCE:
        raise ApiError(400, "user_count needs filter_by_prefix=presence-: only presence channels have users")
    return (
        Channels(prefix),
        lambda census: {
            "channels": {channel: _attributes(census, channel, info) for channel in census.channels}
        },
        [],
    )


def _channel(_: Hub, request: ApiRequest, channel: str) -> _Answer:
    info = read_info(_params(request).get("info", ""))
    if "user_count" in info and kind_of(channel) is not Kind.PRESENCE:
        raise ApiError(400, f"user_count is for presence channels, {channel!r} is none")

    def written(census: Census) -> dict[str, Any]:
        if channel not in census.channels:
            return {"occupied": False}
        return {"occupied": True, **_attributes(census, channel, info)}

    return Counts([channel]), written, []


def _users(_: Hub, __: ApiRequest, channel: str) -> _Answer:
    if kind_of(channel) is not Kind.PRESENCE:
        raise ApiError(400, f"only presence channels have users, {channel!r} is none")
    return UsersOn(channel), lambda census: {"users": [{"id": user_id} for user_id in census.users]}, []


def _terminate(hub: Hub, _: ApiRequest, user_id: str) -> _Answer:
    return None, _nothing, hub.terminate(user_id)


def _nothing(_: Census) -> dict[str, Any]:
    return {}


_HANDLERS: dict[str, tuple[str, _Handler]] = {
    "/apps/{app_id}/events": ("POST", _events),
    "/apps/{app_id}/batch_events": ("POST", _batch_events),
    "/apps/{app_id}/channels": ("GET", _channels),
    "/apps/{app_id}/channels/{channel}": ("GET", _channel),
    "/apps/{app_id}/channels/{channel}/users": ("GET", _users),
    "/apps/{app_id}/users/{user_id}/terminate_connections": ("POST", _terminate),
}


def _handler(request: ApiRequest) -> tuple[_Handler, str]:
    if (route := find_route(request.path)) is None:
        raise ApiError(404, "no such route")
    method, handler = _HANDLERS[route.template]
    if method != request.method:
        raise ApiError(405, f"{request.method} is not allowed here, {method} is", allow=method)
    return handler, route.argument


def _params(request: ApiRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.query}


def _push(hub: Hub, triggers: Sequence[Trigger], ids: str) -> list[Effect]:
    message_ids = read_ids(ids, len(triggers))
    hub.tally.events["api"] += len(triggers)
    effects: list[Effect] = []
    for trigger, message_id in zip(triggers, message_ids, strict=True):
        effects += hub.broadcast(
            trigger.name,
            trigger.channels,
            trigger.data,
            except_socket=trigger.socket_id,
            message_id=message_id,
        )
    return effects


def _attributes(census: Census, channel: str, info: frozenset[str]) -> dict[str, int]:
    found = census.channels.get(channel, _EMPTY)
    attributes: dict[str, int] = {}
    if "user_count" in info and kind_of(channel) is Kind.PRESENCE:
        attributes["user_count"] = found.users
    if "subscription_count" in info:
        attributes["subscription_count"] = found.connections
    return attributes

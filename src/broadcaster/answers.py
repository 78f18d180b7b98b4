"""What an application answers to a browser that wants to join a channel or to sign in.

The bodies are those that pusher-js reads: an object for one channel; for several, an object that has
under each name a `status` and, where that is 200, the `data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from broadcaster.auth_requests import AuthRequest, BadAuthRequest, Question
from broadcaster.encoding import encode
from broadcaster.errors import Forbidden, InvalidChannelName, InvalidSocketId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broadcaster.authorization import Authorization
    from broadcaster.rules.calls import Steps

__all__ = ["Answer", "answer_channels", "answer_user"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response: its *status*, and its *body*, which is JSON."""

    # A signature is for one connection and one user, and no cache's business.
    headers: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"Content-Type": "application/json", "Cache-Control": "no-store"}
    )

    status: int
    body: bytes


def answer_channels(authorization: Authorization, request: AuthRequest, user: object) -> Steps[Answer]:
    """Return the steps to the answer to *request*, made by *user*: 200, 403, or 400 with a reason.

    A request for several channels is answered with 200, and by a status for each. What a rule raises is
    left to the caller, who knows what to do about the application's own mistakes.
    """
    try:
        question = Question.of(request)
    except BadAuthRequest as error:
        return _refusal(error.status, str(error))
    if not question.channels:
        return _refusal(400, "channel_name is missing")
    if not question.several:
        status, content = yield from _joined(authorization, user, question.channels[0], question.socket_id)
        return _answer(status, content)
    answers: dict[str, dict[str, Any]] = {}
    for channel in question.channels:
        status, content = yield from _joined(authorization, user, channel, question.socket_id)
        answers[channel] = {"status": status, "data": content}
    return _answer(200, answers)


def answer_user(authorization: Authorization, request: AuthRequest, user: object) -> Steps[Answer]:
    """Return the steps to the answer to a *request* that wants its connection signed in as *user*."""
    try:
        question = Question.of(request)
        return _answer(200, (yield from authorization.sign_in(user, question.socket_id)))
    except BadAuthRequest as error:
        return _refusal(error.status, str(error))
    except InvalidSocketId as error:
        return _refusal(400, str(error))
    except Forbidden:
        return _refusal(403, "not allowed to sign in")


def _joined(
    authorization: Authorization, user: object, channel: str, socket_id: str
) -> Steps[tuple[int, Any]]:
    try:
        return 200, (yield from authorization.join(user, channel, socket_id))
    except (InvalidSocketId, InvalidChannelName) as error:
        return 400, {"error": str(error)}
    except Forbidden:
        # Why is in the log: it is nothing for the one who asked.
        return 403, {"error": "not allowed to join this channel"}


def _refusal(status: int, reason: str) -> Answer:
    return _answer(status, {"error": reason})


def _answer(status: int, content: object) -> Answer:
    return Answer(status, encode(content).encode())

"""HTTP requests as values, and when one may be sent again; nothing here touches a socket."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from broadcaster.errors import DeliveryError

__all__ = ["Attempts", "HttpRequest", "HttpResponse", "Pause", "Unreachable", "attempts"]

_MAX_PAUSE = 30.0
# Answers that say the request was not acted on: it may be sent again, repeatable or not.
_NOT_TAKEN = frozenset({408, 425, 429, 503})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; *repeatable* says that the peer may get it twice without harm.

    *url* is percent-encoded, and is sent as it stands: a signature may cover it. *completes* is how many
    messages have been handed over when it was answered, of those that several requests are for.
    """

    method: str
    url: str
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeatable: bool = False
    completes: int = 0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The answer; *retry_after* is the seconds that the peer asked for, or None."""

    status: int
    body: bytes = b""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer came; *received* says that the peer may have got the request all the same."""

    reason: str
    received: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


Attempts: TypeAlias = Generator[HttpRequest | Pause, HttpResponse | Unreachable | None, HttpResponse]


def attempts(
    request: HttpRequest, *, driver: str, retries: int, remedies: Mapping[int | None, str] | None = None
) -> Attempts:
    """Yield *request*, and again after a pause while that is safe; return the 2xx answer.

    Pauses grow exponentially, with full jitter, from half a second; `Retry-After` is honoured up to
    30 seconds. Raises `DeliveryError` when the peer refuses, or after *retries* repetitions; *remedies*
    say what would help, by status; None is for no answer at all.
    """
    remedies = remedies or {}
    for attempt in range(retries + 1):
        outcome = yield request
        match outcome:
            case HttpResponse(status=status) if 200 <= status < 300:
                return outcome
            case HttpResponse(status=status) if status < 500 and status not in _NOT_TAKEN:
                raise DeliveryError(_refusal(outcome, remedies), driver=driver, status=status)
            case HttpResponse(status=status, retry_after=asked):
                refusal = _refusal(outcome, remedies)
                error = DeliveryError(refusal, driver=driver, status=status, retryable=True)
                again = request.repeatable or status in _NOT_TAKEN
            case Unreachable(reason=reason, received=received):
                text, asked = _with_remedy(reason, remedies.get(None)), None
                error = DeliveryError(text, driver=driver, retryable=True)
                again = request.repeatable or not received
            case None:
                raise AssertionError("a request is answered by a response")
        if not again or attempt == retries or (asked or 0) > _MAX_PAUSE:
            raise error
        yield Pause(asked if asked is not None else _backoff(attempt))
    raise AssertionError("the last attempt returns or raises")


def _backoff(attempt: int) -> float:
    # Full jitter: many senders that failed together must not come back together.
    return random.uniform(0, min(_MAX_PAUSE, 0.5 * 2**attempt))  # noqa: S311


def _refusal(response: HttpResponse, remedies: Mapping[int | None, str]) -> str:
    # Whatever the peer says, it stays one short line of a log.
    said = " ".join(response.body[:200].decode(errors="replace").split())
    said = "".join(character for character in said if character.isprintable())
    refusal = f"the server answered {response.status}" + (f": {said}" if said else "")
    return _with_remedy(refusal, remedies.get(response.status))


def _with_remedy(reason: str, remedy: str | None) -> str:
    return f"{reason}; {remedy}" if remedy else reason

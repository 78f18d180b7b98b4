"""What Ably answers, and what follows from it.

Codes: <https://ably.com/docs/platform/errors/codes>. Batches are answered in one of two shapes, by the
version of the API, and a batch that failed for some of its channels is not always an HTTP error.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from broadcaster.drivers.ably_batches import encoded
from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, Unreachable, attempts
from broadcaster.errors import DeliveryError

__all__ = ["Refusal", "ably_attempts", "is_ablys", "refusal_in"]

_logger = logging.getLogger("broadcaster")

# The connection to leave out is over, or none of this application; or its client has another id.
_UNKNOWN_CONNECTION = frozenset({40006, 40012})
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Ably did not publish: the *status* that decides about trying again, a *text*, the *codes*."""

    status: int
    text: str
    codes: frozenset[int]


def ably_attempts(request: HttpRequest, *, driver: str, retries: int) -> Attempts:
    """Yield what `attempts()` yields; raise its `DeliveryError` with what Ably says of the refusal.

    When Ably does not know the connection to leave out, the message goes to all: its id came from a
    browser, which must not be able to keep a message from others.
    """
    steps = attempts(request, driver=driver, retries=retries)
    refusal: Refusal | None = None
    try:
        step = next(steps)
        while True:
            outcome = yield step
            if isinstance(outcome, HttpResponse):
                refusal = refusal_in(outcome)
                outcome = replace(outcome, status=refusal.status) if refusal else outcome
            elif isinstance(outcome, Unreachable):
                refusal = None
            step = steps.send(outcome)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    except DeliveryError as error:
        if refusal is None:
            raise
        if refusal.codes & _UNKNOWN_CONNECTION and (to_all := _to_all(request)):
            _logger.info("a message goes to all: %s", refusal.text)
            return (yield from ably_attempts(to_all, driver=driver, retries=retries))
        raise DeliveryError(
            refusal.text, driver=driver, status=error.status, retryable=error.retryable
        ) from None


def is_ablys(response: HttpResponse) -> bool:
    """Whether an answer may be Ably's own, rather than that of something on the way."""
    return isinstance(_content(response), dict | list)


def refusal_in(response: HttpResponse) -> Refusal | None:
    """Return why something was not published; None when everything was, or when Ably does not say."""
    content = _content(response)
    results = _results(content)
    failed = [(result["channel"], error) for result in results if (error := result.get("error"))]
    if failed:
        statuses = [_status(error) for _, error in failed]
        # What is final for one channel is final for the batch.
        status = next((status for status in statuses if not _passing(status)), statuses[0])
        return Refusal(status, _told(failed, len(results)), frozenset(_code(error) for _, error in failed))
    if response.status >= 400 and isinstance(content, dict) and isinstance(content.get("error"), dict):
        error = content["error"]
        text = f"the server answered {response.status}: {_words(error)}{_remedy(_code(error))}"
        return Refusal(response.status, text, frozenset({_code(error)}))
    return None


def _to_all(request: HttpRequest) -> HttpRequest | None:
    """Return *request* without the connections to leave out; None when it has none."""
    content = json.loads(request.body)
    specs = content if isinstance(content, list) else [{"messages": content}]
    messages = [spec["messages"] for spec in specs]
    if not any("connectionKey" in message for message in messages):
        return None
    for message in messages:
        message.pop("connectionKey", None)
        message.pop("clientId", None)
    return replace(request, body=encoded(content))


def _content(response: HttpResponse) -> Any:
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def _results(content: Any) -> list[dict[str, Any]]:
    """Return what became of each publication, in whichever shape it is told."""
    batch = content.get("batchResponse", content) if isinstance(content, dict) else content
    found: list[Any] = []
    for item in batch if isinstance(batch, list) else [batch]:
        inner = item.get("results") if isinstance(item, dict) else None
        found += inner if isinstance(inner, list) else [item]
    return [
        result
        for result in found
        if isinstance(result, dict)
        and isinstance(result.get("channel"), str)
        and isinstance(result.get("error", {}), dict | None)
    ]


def _told(failed: Sequence[tuple[str, dict[str, Any]]], count: int) -> str:
    reasons = list(dict.fromkeys(f"{channel[:200]!r} ({_words(error)})" for channel, error in failed))
    more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    remedies = dict.fromkeys(_remedy(_code(error)) for _, error in failed)
    told = ", ".join(reasons[:_SHOWN])
    return f"{len(failed)} of {count} publications failed: {told}{more}{''.join(remedies)}"


def _words(error: dict[str, Any]) -> str:
    # Whatever the peer says, it stays one short line of a log.
    return " ".join(f"{_code(error)} {str(error.get('message', ''))[:200]}".split())


def _remedy(code: int) -> str:
    if code == 40009:
        return "; send less, for example an id by which browsers fetch the rest"
    if code == 40160:
        return "; give the API key the capability to publish there"
    if 42900 <= code < 43000:
        return "; the limit is that of the account: send less often, or raise it"
    if 40100 <= code < 40200 or code in {40005, 40400}:
        return "; compare ABLY_KEY with the API keys of the application in Ably's dashboard"
    return ""


def _passing(status: int) -> bool:
    return status == 429 or status >= 500


def _status(error: dict[str, Any]) -> int:
    status = error.get("statusCode")
    return status if isinstance(status, int) and 400 <= status < 600 else 500


def _code(error: dict[str, Any]) -> int:
    code = error.get("code")
    return code if isinstance(code, int) else 0

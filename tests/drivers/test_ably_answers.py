from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import DeliveryError
from broadcaster.drivers.ably_answers import ably_attempts, is_ablys, refusal_in
from broadcaster.drivers.requests import HttpRequest, HttpResponse, Pause, Unreachable

REQUEST = HttpRequest("POST", "/channels/public:a/messages", b'{"name":"ping","id":"1:0"}', repeatable=True)

# The examples of Ably's documentation: https://ably.com/docs/messages/batch#batch-responses
EXPIRED = {"error": {"message": "Token expired", "statusCode": 401, "code": 40140}}
PARTIAL = [
    {"channel": "channel0", "messageId": "w234r5t-fr5"},
    {"channel": "channel1", "messageId": "vde4sfc0p"},
    {
        "channel": "channel2",
        "error": {
            "message": "Given credentials do not have the required capability",
            "statusCode": 401,
            "code": 40160,
        },
    },
]
PARTIAL_ERROR = {"message": "Batched response includes errors", "statusCode": 400, "code": 40020}


def answer(status: int, content: Any) -> HttpResponse:
    return HttpResponse(status, json.dumps(content).encode())


def failing(status: int, code: int, channel: str = "public:a", message: str = "no") -> dict[str, Any]:
    return {"channel": channel, "error": {"message": message, "statusCode": status, "code": code}}


def played(
    *outcomes: HttpResponse | Unreachable, retries: int = 2, request: HttpRequest = REQUEST
) -> list[Any]:
    """Answer with *outcomes* in turn; return the requests that were sent. Raises what the flow raises."""
    flow = ably_attempts(request, driver="ably", retries=retries)
    left, sent = list(outcomes), []
    step = next(flow)
    while True:
        try:
            if isinstance(step, Pause):
                step = flow.send(None)
            else:
                sent.append(step)
                step = flow.send(left.pop(0))
        except StopIteration:
            assert left == []
            return sent


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (201, {"channel": "channel0", "messageId": "w234r5t-fr5"}),
        (201, {"serials": ["a"]}),
        (201, PARTIAL[:2]),
        (201, [{"successCount": 2, "failureCount": 0, "results": PARTIAL[:2]}]),
        (201, {"successCount": 2, "failureCount": 0, "results": PARTIAL[:2]}),
    ],
)
def test_what_was_published_is_no_refusal(status: int, content: Any) -> None:
    assert refusal_in(answer(status, content)) is None
    assert len(played(answer(status, content))) == 1


@pytest.mark.parametrize(
    "response",
    [
        answer(400, {"error": PARTIAL_ERROR, "batchResponse": PARTIAL}),
        answer(201, {"successCount": 2, "failureCount": 1, "results": PARTIAL}),
        answer(201, [{"successCount": 2, "failureCount": 1, "results": PARTIAL}]),
        answer(400, {"error": PARTIAL_ERROR, "batchResponse": [{"results": PARTIAL}]}),
    ],
)
def test_a_channel_that_failed_is_named_in_whichever_shape(response: HttpResponse) -> None:
    with pytest.raises(DeliveryError) as caught:
        played(response)

    assert str(caught.value) == (
        "driver 'ably': 1 of 3 publications failed: 'channel2' (40160 Given credentials do not have the "
        "required capability); give the API key the capability to publish there"
    )
    assert (caught.value.status, caught.value.retryable) == (401, False)


def test_a_request_that_failed_as_a_whole_says_why() -> None:
    with pytest.raises(DeliveryError) as caught:
        played(answer(401, EXPIRED))

    assert str(caught.value) == (
        "driver 'ably': the server answered 401: 40140 Token expired; compare ABLY_KEY with the API keys of "
        "the application in Ably's dashboard"
    )


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failures_that_pass_are_tried_again(status: int) -> None:
    sent = played(
        answer(400, {"error": PARTIAL_ERROR, "batchResponse": [PARTIAL[0], failing(status, status * 100)]}),
        Unreachable("no answer: reset", received=True),
        answer(status, {"error": {"message": "no", "statusCode": status, "code": status * 100}}),
        answer(201, PARTIAL[:2]),
        retries=3,
    )

    assert sent == [REQUEST] * 4


def test_what_is_final_for_one_channel_is_final_for_the_batch() -> None:
    with pytest.raises(DeliveryError) as caught:
        played(answer(201, {"results": [failing(429, 42911), failing(401, 40160), failing(500, 50000)]}))

    assert (caught.value.status, caught.value.retryable) == (401, False)


@pytest.mark.parametrize("status", [None, 0, 200, 302, 777, "401"])
def test_a_failure_without_a_status_of_failures_is_one_all_the_same(status: Any) -> None:
    with pytest.raises(DeliveryError, match="40000 no") as caught:
        played(answer(201, {"results": [failing(status, 40000)]}), retries=0)

    assert (caught.value.status, caught.value.retryable) == (500, True)


def test_the_last_failure_is_the_one_that_is_told() -> None:
    busy = answer(503, {"error": {"message": "busy", "statusCode": 503, "code": 50003}})

    with pytest.raises(DeliveryError, match="no answer: reset") as unreachable:
        played(busy, Unreachable("no answer: reset", received=True), retries=1)
    with pytest.raises(DeliveryError, match="50003 busy"):
        played(Unreachable("no answer: reset", received=True), busy, retries=1)
    with pytest.raises(DeliveryError, match="answered 502: <html>"):
        played(busy, HttpResponse(502, b"<html>"), retries=1)

    assert unreachable.value.status is None


def test_however_many_channels_fail_the_error_is_short() -> None:
    results = [failing(401, 40160, f"public:{n}", "x" * 5000) for n in range(100)]

    with pytest.raises(
        DeliveryError, match=r"100 of 100 publications failed: 'public:0'.* and 95 more;"
    ) as caught:
        played(answer(201, {"results": results}))

    assert len(str(caught.value)) < 2000


def test_what_ably_says_forges_no_line_of_a_log() -> None:
    refusal = {"error": {"message": "no\r\nERROR root", "statusCode": 400, "code": 40000}}

    with pytest.raises(DeliveryError, match=r"40000 no ERROR root$"):
        played(answer(400, refusal))


@pytest.mark.parametrize("code", [40006, 40012])
def test_a_message_whose_sender_is_unknown_goes_to_all(code: int) -> None:
    message = {"name": "ping", "id": "1:0", "connectionKey": "over", "clientId": "42"}
    request = HttpRequest(
        "POST", "/channels/public:a/messages", json.dumps(message).encode(), repeatable=True
    )
    unknown = answer(400, {"error": {"message": "invalid", "statusCode": 400, "code": code}})

    first, second = played(unknown, answer(201, PARTIAL[0]), request=request)

    assert first == request
    assert json.loads(second.body) == {"name": "ping", "id": "1:0"}
    assert (second.url, second.repeatable) == (request.url, True)


def test_a_message_that_goes_to_all_already_is_not_sent_without_end() -> None:
    unknown = answer(400, {"error": {"message": "invalid", "statusCode": 400, "code": 40006}})

    with pytest.raises(DeliveryError, match="40006 invalid"):
        played(unknown)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'"text"', b"7", b"[" * 100_000])
def test_what_is_no_object_is_not_ablys(body: bytes) -> None:
    response = HttpResponse(400, body)

    assert not is_ablys(response)
    assert refusal_in(response) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "statusCode", "message", "results", "batchResponse", "channel"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json, st.sampled_from([200, 201, 400, 401, 429, 500]))
def test_no_answer_raises_anything_but_a_delivery_error(content: Any, status: int) -> None:
    with suppress(DeliveryError):
        played(answer(status, content), retries=0)
        assert status < 300

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import DeliveryError
from broadcaster.drivers.requests import HttpRequest, HttpResponse, Pause, Unreachable, attempts

ONCE = HttpRequest("POST", "https://example.org/events", b"{}")
REPEATABLE = HttpRequest("POST", "https://example.org/events", b"{}", repeatable=True)

Outcome = HttpResponse | Unreachable


def played(request: HttpRequest, outcomes: list[Outcome], *, retries: int = 2) -> tuple[int, list[float]]:
    """Answer with *outcomes* in turn; return how often *request* was sent, and the pauses between.

    Raises what the flow raises; more sends than outcomes fail.
    """
    flow = attempts(request, driver="test", retries=retries)
    sent, pauses = 0, []
    step = next(flow)
    while True:
        try:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = flow.send(None)
            else:
                assert step is request
                sent += 1
                step = flow.send(outcomes.pop(0))
        except StopIteration:
            return sent, pauses


OK = HttpResponse(200, b"{}")
REFUSED = Unreachable("no connection: refused", received=False)
LOST = Unreachable("no answer: reset", received=True)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_answer_is_returned(status: int) -> None:
    flow = attempts(ONCE, driver="test", retries=0)
    next(flow)

    with pytest.raises(StopIteration) as finished:
        flow.send(HttpResponse(status, b"body"))

    assert finished.value.value == HttpResponse(status, b"body")


@pytest.mark.parametrize("status", [301, 302, 304, 307, 400, 401, 403, 404, 413, 422])
def test_a_refusal_is_final(status: int) -> None:
    with pytest.raises(DeliveryError) as caught:
        played(REPEATABLE, [HttpResponse(status, b"because")])

    assert (caught.value.status, caught.value.retryable, caught.value.driver) == (status, False, "test")
    assert str(caught.value) == f"driver 'test': the server answered {status}: because"


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_a_request_that_was_not_taken_is_sent_again(status: int) -> None:
    assert played(ONCE, [HttpResponse(status, retry_after=0.25), OK]) == (2, [0.25])


@pytest.mark.parametrize("status", [500, 502, 504, 599])
def test_a_request_that_may_have_been_acted_on_is_not_sent_twice(status: int) -> None:
    with pytest.raises(DeliveryError) as caught:
        played(ONCE, [HttpResponse(status, retry_after=0)])

    assert (caught.value.status, caught.value.retryable) == (status, True)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_repeatable_request_is_sent_again_all_the_same(status: int) -> None:
    assert played(REPEATABLE, [HttpResponse(status, retry_after=0), OK]) == (2, [0])


def test_without_a_connection_the_request_is_sent_again() -> None:
    sent, pauses = played(ONCE, [REFUSED, REFUSED, OK])

    assert sent == 3
    assert len(pauses) == 2


def test_a_request_that_may_have_arrived_is_not_sent_twice() -> None:
    with pytest.raises(DeliveryError, match="no answer: reset") as caught:
        played(ONCE, [LOST])

    assert (caught.value.retryable, caught.value.status) == (True, None)


def test_a_repeatable_request_that_may_have_arrived_is_sent_again() -> None:
    assert played(REPEATABLE, [LOST, OK])[0] == 2


def test_a_failure_after_a_safe_retry_is_judged_anew() -> None:
    with pytest.raises(DeliveryError, match="no answer"):
        played(ONCE, [REFUSED, LOST])


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_after_the_last_attempt_the_failure_is_raised(retries: int) -> None:
    outcomes: list[Outcome] = [REFUSED] * (retries + 1)

    with pytest.raises(DeliveryError, match="no connection: refused") as caught:
        played(ONCE, outcomes, retries=retries)

    assert outcomes == []
    assert caught.value.retryable


def test_a_peer_that_asks_for_half_a_minute_gets_it() -> None:
    assert played(ONCE, [HttpResponse(429, retry_after=30), OK]) == (2, [30])


def test_a_peer_that_asks_for_longer_is_not_waited_for() -> None:
    with pytest.raises(DeliveryError) as caught:
        played(ONCE, [HttpResponse(429, retry_after=30.5)])

    assert (caught.value.status, caught.value.retryable) == (429, True)


@given(st.integers(0, 12))
def test_pauses_grow_with_jitter_and_not_without_end(retries: int) -> None:
    _, pauses = played(ONCE, [*[REFUSED] * retries, OK], retries=retries)

    assert len(pauses) == retries
    assert all(0 <= pause <= min(30, 0.5 * 2**attempt) for attempt, pause in enumerate(pauses))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the server answered 400"),
        (b"  \n ", "the server answered 400"),
        (b"<p>\n  no\r\n\tway</p>\n", "the server answered 400: <p> no way</p>"),
        (b"\xff", "the server answered 400: \ufffd"),
        (b"\x1b[31mred\x07", "the server answered 400: [31mred"),
        (b"x" * 10_000, f"the server answered 400: {'x' * 200}"),
    ],
)
def test_what_the_peer_says_is_one_short_line(body: bytes, said: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        played(ONCE, [HttpResponse(400, body)])

    assert str(caught.value) == f"driver 'test': {said}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HttpResponse(401, b"because"), "the server answered 401: because; check the key"),
        (HttpResponse(401), "the server answered 401; check the key"),
        (HttpResponse(503), "the server answered 503; have patience"),
        (HttpResponse(404, b"because"), "the server answered 404: because"),
    ],
)
def test_a_remedy_ends_what_is_told_of_a_refusal(answer: HttpResponse, said: str) -> None:
    remedies: dict[int | None, str] = {401: "check the key", 503: "have patience"}
    flow = attempts(ONCE, driver="test", retries=0, remedies=remedies)
    next(flow)

    with pytest.raises(DeliveryError) as caught:
        flow.send(answer)

    assert str(caught.value) == f"driver 'test': {said}"


def test_a_request_does_not_show_what_it_carries() -> None:
    request = HttpRequest("POST", "https://example.org", b"the-body", {"Authorization": "the-token"})

    assert "the-" not in repr(request)

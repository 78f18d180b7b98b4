from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from broadcaster import current_socket
from broadcaster.context import is_socket_id, socket_of_request


def test_outside_of_a_request_there_is_no_socket() -> None:
    assert socket_of_request() is None


def test_the_socket_holds_for_the_block_and_no_longer() -> None:
    with current_socket("12.34"):
        inside = socket_of_request()

    assert inside == "12.34"
    assert socket_of_request() is None


def test_the_innermost_block_decides() -> None:
    with current_socket("1.1"):
        with current_socket("2.2"):
            inner = socket_of_request()
        with current_socket(None):
            nobody = socket_of_request()
        outer = socket_of_request()

    assert (inner, nobody, outer) == ("2.2", None, "1.1")


def test_an_error_inside_ends_the_block_as_well() -> None:
    with pytest.raises(ZeroDivisionError), current_socket("12.34"):
        _ = 1 / 0

    assert socket_of_request() is None


@pytest.mark.parametrize(
    "given",
    [
        *(None, "", "12,34", "12.34\n", "\n12.34", " 12.34", "12.34:x", "a b", "<b>", "'", '"', "\\"),
        *("\u0661.\u0662", "12.34\x00", "x" * 513),
    ],
)
def test_what_can_be_no_socket_id_counts_as_none(given: str | None) -> None:
    with current_socket(given):
        assert socket_of_request() is None


@pytest.mark.parametrize(
    "given",
    ["12.34", "8_xVQG3YbPAAAA", "eyJjb25uZWN0aW9uS2V5IjoiQ0siLCJjbGllbnRJZCI6IjQyIn0", "x" * 512],
    ids=["pusher", "socket.io", "ably", "long"],
)
def test_the_ids_of_every_kind_of_client_are_kept(given: str) -> None:
    with current_socket(given):
        assert socket_of_request() == given


@pytest.mark.parametrize(
    "given",
    [
        *("12", "12.", ".34", "1.2.3", "12.34\n", " 12.34", "-1.2", "a.b", "1e3.4", "\u0661.\u0662"),
        *("undefined", "null", "8_xVQG3YbPAAAA"),
    ],
)
def test_anything_else_is_no_socket_id_of_pushers_protocol(given: str) -> None:
    assert not is_socket_id(given)


@pytest.mark.parametrize("given", ["1.1", "1234.1234", "0.0", "240621.35780774"])
def test_digits_a_dot_and_digits_are_a_socket_id(given: str) -> None:
    assert is_socket_id(given)


async def test_tasks_that_run_at_the_same_time_do_not_see_each_other() -> None:
    both_inside = asyncio.Barrier(2)

    async def request(socket_id: str) -> str | None:
        with current_socket(socket_id):
            await both_inside.wait()
            return socket_of_request()

    async with asyncio.timeout(5):
        one, two = await asyncio.gather(request("1.1"), request("2.2"))

    assert (one, two) == ("1.1", "2.2")


async def test_a_thread_of_the_request_sees_its_socket() -> None:
    with current_socket("12.34"):
        assert await asyncio.to_thread(socket_of_request) == "12.34"


def test_a_thread_of_nobody_sees_none() -> None:
    seen: list[str | None] = []

    with current_socket("12.34"):
        # Before Python 3.14 a thread starts with an empty context anyway; later it may inherit its parent's.
        bare = contextvars.Context()
        thread = threading.Thread(target=lambda: seen.append(bare.run(socket_of_request)))
        thread.start()
        thread.join(5)

    assert seen == [None]

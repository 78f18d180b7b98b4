from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gc
import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
import trustme

from broadcaster import DeliveryError
from broadcaster.drivers._http import HttpClient, _plain
from broadcaster.drivers.requests import Attempts, HttpRequest, HttpResponse, Pause, attempts
from tests.drivers.loopback import Loopback
from tests.drivers.proxy import Proxy
from tests.ports import free_port

Send = Callable[..., HttpResponse]
SECONDS = 10


@pytest.fixture(autouse=True)
def _short_pauses() -> None:
    # The first two pauses that follow from this seed are shorter than a millisecond.
    random.seed(8038)


def client(*, connect: float = 5.0, read: float = 5.0) -> HttpClient:
    return HttpClient(connect_timeout=connect, read_timeout=read)


def flow(
    url: str, *, method: str = "POST", body: bytes = b"{}", repeatable: bool = False, retries: int = 2
) -> Attempts:
    request = HttpRequest(method, url, body, {"Content-Type": "application/json"}, repeatable)
    return attempts(request, driver="test", retries=retries)


@pytest.fixture(params=["blocking", "in a loop"])
def send(request: pytest.FixtureRequest) -> Iterator[Send]:
    """Send one request over a client that serves the whole test: `send(url, retries=0)`."""
    blocking = request.param == "blocking"
    clients: dict[tuple[float, float], HttpClient] = {}
    with asyncio.Runner() as runner:

        def sending(url: str, *, connect: float = 5.0, read: float = 5.0, **how: object) -> HttpResponse:
            key = (connect, read)
            used = clients.setdefault(key, client(connect=connect, read=read))
            if blocking:
                return used.run(flow(url, **how))  # type: ignore[arg-type]
            return runner.run(used.arun(flow(url, **how)))  # type: ignore[arg-type]

        yield sending
        for used in clients.values():
            runner.run(used.aclose())


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    return free_port()


def test_a_request_arrives_as_it_was_said(loopback: Loopback, send: Send) -> None:
    response = send(f"{loopback.url}/apps/3/events?a=1", body=b'{"a":"\xe2\x98\x83"}')

    [request] = loopback.requests
    assert response == HttpResponse(200, b"{}")
    assert (request.method, request.target) == ("POST", "/apps/3/events?a=1")
    assert request.body == b'{"a":"\xe2\x98\x83"}'
    assert request.headers["Content-Type"] == "application/json"


def test_a_request_without_a_body_has_none(loopback: Loopback, send: Send) -> None:
    send(loopback.url, method="GET", body=b"")

    [request] = loopback.requests
    assert (request.method, request.body) == ("GET", b"")


@pytest.mark.parametrize(
    "target", ["/a%2Fb%2C,;=@-_.?x=%2C,&y=a+b&z=%20%7C&info=user_count,b", "/%41%7E~?q=%41", "/a//b/?x="]
)
def test_an_address_that_is_signed_arrives_byte_for_byte(loopback: Loopback, send: Send, target: str) -> None:
    send(loopback.url + target)

    assert [request.target for request in loopback.requests] == [target]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_2xx_answer_is_returned(loopback: Loopback, send: Send, status: int) -> None:
    loopback.answer(status, b"welcome")

    assert send(loopback.url) == HttpResponse(status, b"welcome")


@pytest.mark.parametrize("status", [400, 401, 413])
def test_a_refusal_is_told_and_final(loopback: Loopback, send: Send, status: int) -> None:
    loopback.answer(status, b"because")

    with pytest.raises(DeliveryError, match=f"the server answered {status}: because") as caught:
        send(loopback.url)

    assert (caught.value.status, caught.value.retryable) == (status, False)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(loopback: Loopback, send: Send, status: int) -> None:
    loopback.answer(status, Location="/elsewhere")

    with pytest.raises(DeliveryError, match=f"the server answered {status}"):
        send(loopback.url)

    assert len(loopback.requests) == 1


def test_a_busy_server_is_asked_again_when_it_says(loopback: Loopback, send: Send) -> None:
    loopback.answer(503, Retry_After="0")
    loopback.answer(429, Retry_After=email.utils.formatdate(time.time() - 5, usegmt=True))

    assert send(loopback.url) == HttpResponse(200, b"{}")
    assert len(loopback.requests) == 3


@pytest.mark.parametrize("asked", ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_server_that_is_busy_for_long_is_not_waited_for(loopback: Loopback, send: Send, asked: str) -> None:
    loopback.answer(503, Retry_After=asked)

    with pytest.raises(DeliveryError) as caught:
        send(loopback.url)

    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("asked", ["soon", "", "-1", "0, 0", "nan"])
def test_a_wait_that_nobody_understands_is_chosen_here(loopback: Loopback, send: Send, asked: str) -> None:
    loopback.answer(503, Retry_After=asked)

    assert send(loopback.url) == HttpResponse(200, b"{}")


def test_a_server_that_stays_busy_is_given_up(loopback: Loopback, send: Send) -> None:
    for _ in range(3):
        loopback.answer(503, b"overloaded", Retry_After="0")

    with pytest.raises(DeliveryError, match="503: overloaded") as caught:
        send(loopback.url)

    assert (caught.value.status, caught.value.retryable) == (503, True)
    assert len(loopback.requests) == 3


def test_nobody_listens(closed_port: int, send: Send) -> None:
    with pytest.raises(DeliveryError, match="no connection to http") as caught:
        send(f"http://127.0.0.1:{closed_port}")

    assert (caught.value.retryable, caught.value.status) == (True, None)


def test_an_error_does_not_show_the_query() -> None:
    request = HttpRequest("POST", "https://example.org/events?auth_signature=abc", b"{}")
    # What aiohttp says of a connection that breaks while it writes.
    error = aiohttp.ClientOSError(None, f"Can not write request body for {request.url}")

    said = _plain(error, request)

    assert said.endswith("Can not write request body for https://example.org/events")
    assert _plain(TimeoutError(), request) == "TimeoutError"


@pytest.mark.parametrize(
    ("beyond", "target"),
    [("", "/"), ("/", "/"), ("?a=1/2", "/?a=1/2"), ("/b?a=1/2?", "/b?a=1/2?"), ("/..", "/..")],
)
def test_what_follows_the_host_is_asked_for(loopback: Loopback, send: Send, beyond: str, target: str) -> None:
    send(loopback.url + beyond)

    assert [request.target for request in loopback.requests] == [target]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_server_that_starts_late_is_found_by_the_next_attempt(closed_port: int, blocking: bool) -> None:
    loopback = Loopback(closed_port)

    def started_in_the_pause(waiting: Attempts) -> Attempts:
        step = next(waiting)
        while True:
            if isinstance(step, Pause):
                loopback.__enter__()
            try:
                step = waiting.send((yield step))
            except StopIteration as finished:
                return finished.value  # type: ignore[no-any-return]

    late, sending = started_in_the_pause(flow(f"http://127.0.0.1:{closed_port}")), client()
    try:
        answer = sending.run(late) if blocking else asyncio.run(sending.arun(late))
    finally:
        loopback.__exit__(None, None, None)
        sending.close()

    assert answer == HttpResponse(200, b"{}")
    assert len(loopback.requests) == 1


def test_a_peer_that_never_answers_is_given_up(loopback: Loopback, send: Send) -> None:
    loopback.go_silent()

    with pytest.raises(DeliveryError, match="no answer from http") as caught:
        send(loopback.url, read=0.05)

    assert (caught.value.retryable, caught.value.status) == (True, None)
    assert len(loopback.requests) == 1


def test_a_request_that_was_received_is_not_sent_twice(loopback: Loopback, send: Send) -> None:
    loopback.hang_up()

    with pytest.raises(DeliveryError, match="no answer from http") as caught:
        send(loopback.url)

    assert caught.value.retryable
    assert len(loopback.requests) == 1


def test_a_repeatable_request_is_sent_twice_if_need_be(loopback: Loopback, send: Send) -> None:
    loopback.hang_up()

    assert send(loopback.url, repeatable=True) == HttpResponse(200, b"{}")
    assert len(loopback.requests) == 2


def test_a_connection_is_kept_alive(loopback: Loopback, send: Send) -> None:
    for _ in range(5):
        send(loopback.url)

    assert len(loopback.requests) == 5
    assert loopback.connections == 1


def test_a_refusal_does_not_cost_the_connection(loopback: Loopback, send: Send) -> None:
    loopback.answer(400)
    with pytest.raises(DeliveryError):
        send(loopback.url)

    send(loopback.url)

    assert loopback.connections == 1


def test_a_connection_that_the_peer_closed_is_replaced(loopback: Loopback, send: Send) -> None:
    loopback.answer(200, Connection="close")
    send(loopback.url)

    send(loopback.url)

    assert (len(loopback.requests), loopback.connections) == (2, 2)


def test_a_cookie_does_not_come_back(loopback: Loopback, send: Send) -> None:
    loopback.answer(200, Set_Cookie="session=1")
    send(loopback.url)

    send(loopback.url)

    assert all("Cookie" not in request.headers for request in loopback.requests)


def test_a_connection_that_was_closed_meanwhile_costs_no_request(loopback: Loopback, send: Send) -> None:
    with Proxy(loopback.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        send(url)

        proxy.break_connections()
        send(url)

        assert (len(loopback.requests), proxy.connections) == (2, 2)


def test_many_servers_do_not_hold_connections_for_ever() -> None:
    shared = client()
    with ExitStack() as running:
        servers = [running.enter_context(Loopback()) for _ in range(20)]

        for server in [*servers, servers[0]]:
            shared.run(flow(server.url))
        shared.run(flow(servers[0].url))
        connections = [server.connections for server in servers]
        shared.close()

    assert connections == [2, *[1] * 19]


def test_threads_share_connections(loopback: Loopback) -> None:
    shared = client()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: shared.run(flow(loopback.url)), range(40)))
    shared.close()

    assert [answer.status for answer in answers] == [200] * 40
    assert len(loopback.requests) == 40
    assert loopback.connections <= 8


def test_a_thread_that_finds_no_free_connection_does_not_wait_for_ever(loopback: Loopback) -> None:
    loopback.drip()
    shared = client(connect=0.1, read=0.5)

    with ThreadPoolExecutor(16) as threads:
        busy = [threads.submit(shared.run, flow(loopback.url, retries=0)) for _ in range(16)]
        loopback.wait_for_requests(16)
        with pytest.raises(DeliveryError, match="no connection to http") as caught:
            shared.run(flow(loopback.url, retries=0))
        loopback.speak()
        answers = [answer.result(SECONDS) for answer in busy]
    shared.close()

    assert caught.value.retryable
    assert [answer.status for answer in answers] == [200] * 16
    assert len(loopback.requests) == 16


async def test_tasks_share_connections(loopback: Loopback) -> None:
    shared = client()

    async with asyncio.timeout(SECONDS):
        answers = await asyncio.gather(*(shared.arun(flow(loopback.url)) for _ in range(40)))
    await shared.aclose()

    assert [answer.status for answer in answers] == [200] * 40
    assert loopback.connections <= 16


def test_loops_in_several_threads_do_not_get_into_each_others_way(loopback: Loopback) -> None:
    shared = client()

    async def talk() -> int:
        async with asyncio.timeout(SECONDS):
            answers = [await shared.arun(flow(loopback.url)) for _ in range(5)]
        return len(answers)

    with ThreadPoolExecutor(4) as threads:
        talked = list(threads.map(lambda _: asyncio.run(talk()), range(8)))

    assert talked == [5] * 8
    assert loopback.connections == 8


def test_one_loop_after_another_leaves_no_connection_behind(loopback: Loopback) -> None:
    shared = client()

    for _ in range(5):
        asyncio.run(shared.arun(flow(loopback.url)))
        gc.collect()

    assert len(loopback.requests) == 5
    assert len(shared._sessions._held) == 1
    assert all(held.value.session.closed for held in shared._sessions._held.values())


def test_a_loop_that_ended_without_a_farewell_is_forgotten(loopback: Loopback) -> None:
    shared = client()
    runner = asyncio.Runner()
    runner.run(shared.arun(flow(loopback.url)))
    abandoned = runner.get_loop()
    abandoned.run_until_complete(shared._sessions._held[abandoned].value.session.close())
    abandoned.close()

    asyncio.run(shared.arun(flow(loopback.url)))

    assert abandoned not in shared._sessions._held


def test_a_closed_client_opens_again(loopback: Loopback) -> None:
    shared = client()

    for _ in range(2):
        shared.run(flow(loopback.url))
        shared.close()
    shared.close()

    assert (len(loopback.requests), loopback.connections) == (2, 2)


async def test_a_client_closed_on_a_loop_opens_again(loopback: Loopback) -> None:
    shared = client()

    for _ in range(2):
        await shared.arun(flow(loopback.url))
        await shared.aclose()
    await shared.aclose()

    assert (len(loopback.requests), loopback.connections) == (2, 2)


async def test_closing_on_a_loop_closes_what_threads_used_as_well(loopback: Loopback) -> None:
    shared = client()
    await asyncio.to_thread(shared.run, flow(loopback.url))

    await shared.aclose()
    await asyncio.to_thread(shared.run, flow(loopback.url))
    await shared.aclose()

    assert loopback.connections == 2


FORKING = """
import asyncio, os, sys
from tests.drivers.test_base import TWICE, Webhook

driver = Webhook(sys.argv[1])
driver.deliver(TWICE)

async def main():
    await driver.adeliver(TWICE)
    child = os.fork()
    if child == 0:
        try:
            driver.deliver(TWICE)
            driver.close()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
    # The parent's connections still work, and nobody else talked over them.
    driver.deliver(TWICE)
    await driver.adeliver(TWICE)
    await driver.aclose()

asyncio.run(main())
"""


def test_a_forked_child_opens_connections_of_its_own(loopback: Loopback) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FORKING, loopback.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (result.stdout, result.stderr) == ("0\n", "")
    peers = [request.peer for request in loopback.requests]
    assert len(peers) == 10
    blocking, looping, child = peers[0], peers[2], peers[4]
    assert len({blocking, looping, child}) == 3
    assert peers == [*[blocking] * 2, *[looping] * 2, *[child] * 2, *[blocking] * 2, *[looping] * 2]


TALKING = """
import asyncio, sys
from broadcaster import DeliveryError
from tests.drivers.test_base import TWICE, Webhook

async def main():
    driver = Webhook(sys.argv[1], retries=0)
    try:
        driver.deliver(TWICE)
    except DeliveryError as error:
        print(error)
    try:
        await driver.adeliver(TWICE)
    except DeliveryError as error:
        print(error)
    await driver.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_checked_against_those_that_the_system_trusts(
    loopback: Loopback, tmp_path: Path, trusted: bool
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    loopback.encrypt(context)
    authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    environment = {**os.environ, **({"SSL_CERT_FILE": str(tmp_path / "trusted.pem")} if trusted else {})}

    result = subprocess.run(
        [sys.executable, "-c", TALKING, loopback.url.replace("http:", "https:")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )

    assert result.stderr == ""
    assert "no answer" not in result.stdout
    assert result.stdout.count(": certificate verify failed: unable to get") == (0 if trusted else 2)
    assert bool(result.stdout) is not trusted
    assert len(loopback.requests) == (4 if trusted else 0)


async def test_to_wait_for_a_connection_is_not_to_wait_for_an_answer() -> None:
    release, loop = asyncio.Event(), asyncio.get_running_loop()
    waiting = 0

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n{}"):
                waiting += 1
                if waiting == 16:
                    release.set()
                await release.wait()
                # A peer that takes its time, which is what this is about; nobody here waits for the clock.
                loop.call_later(0.5, writer.write, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    shared = client(connect=0.4, read=0.8)
    async with await asyncio.start_server(slowly, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        # Sixteen at a time, so that the last wait for longer than they may take themselves.
        answers = await asyncio.gather(*(shared.arun(flow(url, retries=2)) for _ in range(40)))
        await shared.aclose()

    assert [answer.status for answer in answers] == [200] * 40
    assert waiting == 40


@pytest.mark.parametrize("steps", [1, 8])
async def test_who_closes_a_client_waits_for_what_is_in_flight(loopback: Loopback, steps: int) -> None:
    shared = client()
    await shared.arun(flow(loopback.url))

    sending = [asyncio.create_task(shared.arun(flow(loopback.url, retries=0))) for _ in range(60)]
    for _ in range(steps):
        await asyncio.sleep(0)
    await shared.aclose()
    are_done = [task.done() for task in sending]
    answers = await asyncio.gather(*sending)

    assert are_done == [True] * 60
    assert [answer.status for answer in answers] == [200] * 60


async def test_what_is_in_flight_for_too_long_fails_in_the_usual_way(loopback: Loopback) -> None:
    loopback.drip()
    shared = client(connect=0.1, read=0.3)

    sending = [asyncio.create_task(shared.arun(flow(loopback.url, retries=0))) for _ in range(20)]
    await asyncio.to_thread(loopback.wait_for_requests, 16)
    await shared.aclose()
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    loopback.speak()

    assert {type(outcome) for outcome in outcomes} == {DeliveryError}

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from broadcaster import DeliveryError, Message
from broadcaster.drivers.base import BlockingDriver, Driver, HttpDriver
from broadcaster.drivers.requests import HttpRequest, HttpResponse
from broadcaster.errors import progress_of
from tests.drivers.loopback import Loopback

MESSAGES = [Message(name, ("lobby",), "{}") for name in "abcd"]


class StopsAtC(Driver):
    """A driver that implements the two verbs and nothing else."""

    name = "stops"

    def __init__(self) -> None:
        self.delivered: list[str] = []

    def deliver(self, message: Message) -> None:
        if message.name == "c":
            raise DeliveryError("not c", driver=self.name)
        self.delivered.append(message.name)

    async def adeliver(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.deliver(message)


@pytest.fixture(params=["blocking", "in a loop"])
def deliver_many(request: pytest.FixtureRequest) -> Callable[[Driver], None]:
    if request.param == "blocking":
        return lambda driver: driver.deliver_many(MESSAGES)
    return lambda driver: asyncio.run(driver.adeliver_many(MESSAGES))


def test_a_batch_is_delivered_in_order_up_to_the_first_failure(
    deliver_many: Callable[[Driver], None],
) -> None:
    driver = StopsAtC()

    with pytest.raises(DeliveryError, match="not c"):
        deliver_many(driver)

    assert driver.delivered == ["a", "b"]


async def test_a_driver_that_holds_nothing_closes() -> None:
    driver = StopsAtC()

    driver.close()
    await driver.aclose()

    assert driver.delivered == []


class Blocking(BlockingDriver):
    name = "blocking"

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.release = threading.Event()

    def deliver(self, message: Message) -> None:
        self.threads.append(threading.get_ident())
        if not self.release.wait(5):
            raise TimeoutError

    def close(self) -> None:
        self.threads.append(threading.get_ident())


async def test_a_blocking_client_does_not_block_the_loop() -> None:
    driver = Blocking()

    async def meanwhile() -> None:
        driver.release.set()

    async with asyncio.timeout(10):
        await asyncio.gather(driver.adeliver(MESSAGES[0]), meanwhile())
        await driver.adeliver_many(MESSAGES)
        await driver.aclose()

    assert len(driver.threads) == 6
    assert threading.get_ident() not in driver.threads


class Webhook(HttpDriver):
    """One request for each channel."""

    name = "webhook"

    def __init__(self, url: str, **options: float) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._url = url

    def requests(self, message: Message) -> list[HttpRequest]:
        body = message.data.encode()
        return [HttpRequest("POST", f"{self._url}/{channel}", body) for channel in message.channels]


TWICE = Message("ping", ("first", "second"), '{"a":1}')


async def test_an_http_driver_says_its_requests_and_they_are_sent_in_order(loopback: Loopback) -> None:
    driver = Webhook(loopback.url)

    driver.deliver(TWICE)
    await driver.adeliver(TWICE)
    await driver.aclose()

    assert [request.target for request in loopback.requests] == ["/first", "/second"] * 2
    assert {request.body for request in loopback.requests} == {b'{"a":1}'}


async def test_a_refused_request_stops_the_ones_after_it(loopback: Loopback) -> None:
    loopback.answer(400, b"no")
    driver = Webhook(loopback.url)

    with pytest.raises(DeliveryError) as caught:
        driver.deliver(TWICE)

    assert (caught.value.driver, caught.value.status) == ("webhook", 400)
    assert [request.target for request in loopback.requests] == ["/first"]
    driver.close()


async def test_a_driver_knows_what_would_help_against_a_refusal(loopback: Loopback) -> None:
    class Helpful(Webhook):
        remedies = {401: "look at the key"}  # noqa: RUF012 - as the base class declares it

    driver = Helpful(loopback.url)
    loopback.answer(401, b"no")
    loopback.answer(401, b"never")

    with pytest.raises(DeliveryError, match="the server answered 401: no; look at the key"):
        driver.deliver(TWICE)
    with pytest.raises(DeliveryError, match="the server answered 401: never; look at the key"):
        await driver.adeliver(TWICE)
    await driver.aclose()


async def test_a_batch_may_be_made_while_it_is_sent(loopback: Loopback) -> None:
    sent_before: list[int] = []

    class Late(Webhook):
        def requests_for_many(self, messages: Sequence[Message]) -> Iterator[HttpRequest]:
            for message in messages:
                sent_before.append(len(loopback.requests))
                yield from self.requests(message)

    driver = Late(loopback.url)

    driver.deliver_many([TWICE, TWICE])
    await driver.adeliver_many([TWICE, TWICE])
    await driver.aclose()

    assert sent_before == [0, 2, 4, 6]


async def handed_over(driver: Driver, messages: Sequence[Message], how: str) -> tuple[int, int] | None:
    """Return how many *driver* handed over and tried, as its error says, or None where there was none."""
    try:
        if how == "blocking":
            driver.deliver_many(messages)
        else:
            await driver.adeliver_many(messages)
    except (DeliveryError, ValueError) as error:
        return progress_of(error, messages, by=driver)
    return None


@pytest.mark.parametrize("how", ["blocking", "in a loop"])
async def test_a_failure_tells_how_many_were_handed_over_before_it(loopback: Loopback, how: str) -> None:
    driver = Webhook(loopback.url)
    for status in (200, 200, 200, 200, 200, 400):
        loopback.answer(status, b"")

    assert await handed_over(driver, [TWICE] * 4, how) == (2, 3)
    await driver.aclose()


@pytest.mark.parametrize("how", ["blocking", "in a loop"])
async def test_so_does_any_other_error(loopback: Loopback, how: str) -> None:
    class Careless(Webhook):
        def check(self, response: HttpResponse) -> None:
            if len(loopback.requests) == 5:
                raise ValueError(response)

    driver = Careless(loopback.url)

    assert await handed_over(driver, [TWICE] * 4, how) == (2, 3)
    await driver.aclose()


@pytest.mark.parametrize("how", ["blocking", "in a loop"])
async def test_so_does_a_driver_that_takes_one_after_the_other(how: str) -> None:
    class Picky(BlockingDriver):
        name = "picky"

        def deliver(self, message: Message) -> None:
            if message is TWICE:
                raise DeliveryError("not that", driver="picky")

    class Careful(Picky):
        adeliver_many = Driver.adeliver_many

    assert await handed_over(Careful(), [Message("a", ("b",), "{}"), TWICE, TWICE], how) == (1, 2)


def test_a_driver_that_never_sent_has_nothing_to_close() -> None:
    program = (
        "import asyncio, sys\n"
        "from tests.drivers.test_base import Webhook\n"
        "for name in ('aiohttp', 'urllib3'): sys.modules[name] = None\n"
        "driver = Webhook('http://127.0.0.1:9')\n"
        "driver.close()\n"
        "asyncio.run(driver.aclose())\n"
        "try: driver.deliver(None)\n"
        "except AttributeError: print('closed')\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert (result.stdout, result.stderr) == ("closed\n", "")


def test_without_the_extra_sending_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "from tests.drivers.test_base import TWICE, Webhook\n"
        "sys.modules['aiohttp'] = None\n"
        "from broadcaster import MissingExtra\n"
        "try: Webhook('http://127.0.0.1:9').deliver(TWICE)\n"
        "except MissingExtra as error: print(error)\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert result.stdout == (
        "'aiohttp' is not installed; install it with: pip install 'broadcaster-kit[http]'\n"
    ), result.stderr


def test_options_from_the_environment_are_text(loopback: Loopback) -> None:
    driver = Webhook(loopback.url, connect_timeout="1.5", read_timeout="2", retries="0")  # type: ignore[arg-type]

    driver.deliver(TWICE)
    driver.close()

    assert len(loopback.requests) == 2

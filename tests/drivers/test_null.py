from __future__ import annotations

from broadcaster import Message
from broadcaster.drivers.null import NullDriver

MESSAGE = Message("ping", ("lobby",), "{}")


async def test_whatever_it_gets_it_drops() -> None:
    driver = NullDriver()

    driver.deliver(MESSAGE)
    driver.deliver_many([MESSAGE, MESSAGE])
    await driver.adeliver(MESSAGE)
    await driver.adeliver_many([MESSAGE, MESSAGE])

    assert vars(driver) == {}


async def test_it_holds_nothing_that_closing_would_end() -> None:
    driver = NullDriver()
    driver.close()
    await driver.aclose()

    driver.deliver(MESSAGE)

    assert driver.name == "null"

from __future__ import annotations

import asyncio
import enum
import importlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broadcaster import (
    AnonymousEvent,
    BroadcastManager,
    ConfigurationError,
    DeliveryError,
    Message,
    Settings,
    ShouldDispatchAfterCommit,
    ShouldQueue,
    UnencodableData,
    current_socket,
)
from broadcaster.config import DriverConfig
from broadcaster.drivers.base import Driver
from broadcaster.drivers.log import LogDriver
from broadcaster.drivers.null import NullDriver
from broadcaster.queues.memory import MemoryQueue
from broadcaster.signing import Credentials
from broadcaster.testing import capture
from tests.recording import RecordingDriver
from tests.test_transactions import Remembered

PING = AnonymousEvent("ping", on="lobby", data={"a": 1})


def recording(**drivers: RecordingDriver) -> BroadcastManager:
    """Return a manager whose drivers are these; the first is the default."""
    manager = BroadcastManager(Settings(next(iter(drivers))))
    for name, driver in drivers.items():
        manager.extend(name, lambda driver=driver: driver)
    return manager


# Sending


def test_an_event_is_sent_through_the_default_driver() -> None:
    eu, us = RecordingDriver(), RecordingDriver()

    recording(eu=eu, us=us).send(PING)

    assert [(m.name, m.channels, m.data) for m in eu.delivered] == [("ping", ("lobby",), '{"a":1}')]
    assert us.delivered == []


async def test_an_event_is_sent_from_a_coroutine() -> None:
    eu, us = RecordingDriver(), RecordingDriver()

    await recording(eu=eu, us=us).asend(PING, via="us")

    assert eu.delivered == []
    assert [m.name for m in us.delivered] == ["ping"]


def test_several_events_are_one_batch() -> None:
    driver = RecordingDriver()

    recording(eu=driver).send_many(AnonymousEvent(name, on="lobby") for name in "abc")

    assert [m.name for m in driver.delivered] == ["a", "b", "c"]
    assert driver.batches == [3]


async def test_several_events_are_one_batch_from_a_coroutine() -> None:
    driver = RecordingDriver()

    await recording(eu=driver).asend_many([PING, PING])

    assert driver.batches == [2]


async def test_nothing_to_send_asks_no_driver() -> None:
    broadcast = BroadcastManager(Settings("unknown"))

    broadcast.send(AnonymousEvent("ping", on=None))
    broadcast.send_many([])
    await broadcast.asend(AnonymousEvent("ping", on=[]))
    await broadcast.asend_many([])


async def test_others_are_all_but_the_socket_of_the_request() -> None:
    driver = RecordingDriver()
    broadcast = recording(eu=driver)

    with current_socket("12.34"):
        broadcast.send(PING, to_others=True)
        await broadcast.asend(PING, to_others=True)
        broadcast.send_many([PING, PING], to_others=True)
        await broadcast.asend_many([PING, PING], to_others=True)
        broadcast.send(PING)

    assert [m.except_socket for m in driver.delivered] == ["12.34"] * 6 + [None]


async def test_a_failure_reaches_the_caller() -> None:
    broadcast = recording(eu=RecordingDriver(refuses="it is closed"))

    with pytest.raises(DeliveryError, match="it is closed"):
        broadcast.send(PING)
    with pytest.raises(DeliveryError, match="it is closed"):
        await broadcast.asend(PING)


def test_data_is_checked_whatever_the_driver_does_with_it() -> None:
    with BroadcastManager(Settings("null")) as broadcast, pytest.raises(UnencodableData):
        broadcast.send(AnonymousEvent("ping", on="lobby", data={"a": object()}))


# Waiting for a commit


class Committed(AnonymousEvent, ShouldDispatchAfterCommit):
    pass


def test_an_event_waits_for_the_transaction_that_is_followed() -> None:
    driver, transaction = RecordingDriver(), Remembered()
    manager = recording(eu=driver)
    manager.follow(lambda: transaction)

    manager.send(Committed("a", on="lobby"))
    manager.send_many([PING, Committed("b", on="lobby")])
    before = [message.name for message in driver.delivered]
    for carry, _ in transaction.waiting:
        carry()

    assert before == ["ping"]
    assert [message.name for message in driver.delivered] == ["ping", "a", "b"]


async def test_an_event_sent_from_a_coroutine_waits_too() -> None:
    driver, transaction = RecordingDriver(), Remembered()
    manager = recording(eu=driver)
    manager.follow(lambda: transaction)

    await manager.asend(Committed("a", on="lobby"))
    await manager.asend_many([PING, Committed("b", on="lobby")])
    before = [message.name for message in driver.delivered]
    for _, acarry in transaction.waiting:
        await acarry()

    assert before == ["ping"]
    assert [message.name for message in driver.delivered] == ["ping", "a", "b"]


def test_the_connection_to_leave_out_is_that_of_the_time_of_sending() -> None:
    driver, transaction = RecordingDriver(), Remembered()
    manager = recording(eu=driver)
    manager.follow(lambda: transaction)

    with current_socket("12.34"):
        manager.send(Committed("a", on="lobby"), to_others=True)
    transaction.waiting[0][0]()

    assert [message.except_socket for message in driver.delivered] == ["12.34"]


# Drivers by name


def test_without_settings_the_log_is_the_driver() -> None:
    assert isinstance(BroadcastManager().driver(), LogDriver)


def test_the_environment_chooses_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_DRIVER", "null")

    assert isinstance(BroadcastManager.from_env().driver(), NullDriver)


def test_a_dotenv_file_chooses_the_driver(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BROADCAST_DRIVER=null\n")

    assert BroadcastManager.from_env(tmp_path / ".env").default == "null"


def test_a_toml_file_chooses_the_driver(tmp_path: Path) -> None:
    (tmp_path / "broadcast.toml").write_text('driver = "quiet"\n[drivers.quiet]\ndriver = "null"\n')

    assert isinstance(BroadcastManager.from_toml(tmp_path / "broadcast.toml").driver(), NullDriver)


def test_a_dict_chooses_the_driver() -> None:
    broadcast = BroadcastManager.from_dict({"driver": "quiet", "drivers": {"quiet": {"driver": "null"}}})

    assert isinstance(broadcast.driver(), NullDriver)


def test_a_driver_is_made_once_for_each_name() -> None:
    settings = Settings("a", {"a": DriverConfig("null"), "b": DriverConfig("null")})
    broadcast = BroadcastManager(settings)

    assert broadcast.driver("a") is broadcast.driver("a") is broadcast.driver()
    assert broadcast.driver("a") is not broadcast.driver("b")
    assert broadcast.driver("null") is not broadcast.driver("a")


def test_a_driver_may_be_named_by_an_enum() -> None:
    class Names(enum.Enum):
        QUIET = "null"

    broadcast = BroadcastManager()

    assert broadcast.driver(Names.QUIET) is broadcast.driver("null")


KINDS = "'failover', 'local', 'log', 'null', 'pusher', 'redis', 'stack'"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nul", f"no driver named 'nul', did you mean 'null'?; known: 'ably', 'eu', {KINDS}"),
        ("kafka", f"no driver named 'kafka'; known: 'ably', 'eu', {KINDS}"),
        ("NULL", f"no driver named 'NULL'; known: 'ably', 'eu', {KINDS}"),
        ("", f"no driver named ''; known: 'ably', 'eu', {KINDS}"),
        ("eu", f"driver 'eu' has the unknown kind 'nul', did you mean 'null'?; known: 'ably', {KINDS}"),
    ],
)
def test_an_unknown_driver_is_refused_with_the_nearest_known_one(name: str, said: str) -> None:
    broadcast = BroadcastManager(Settings("log", {"eu": DriverConfig("nul")}))

    with pytest.raises(ConfigurationError) as caught:
        broadcast.driver(name)

    assert str(caught.value) == said
    assert caught.value.__context__ is None


def test_the_local_driver_asks_for_its_server() -> None:
    with pytest.raises(ConfigurationError, match=r"pass it as BroadcastManager\(server=\.\.\.\)"):
        BroadcastManager(Settings("local")).send(PING)


class Server:
    """An embedded server, as small as can be."""

    def __init__(self) -> None:
        self.published: list[Message] = []

    @property
    def credentials(self) -> Credentials:
        return Credentials("app-key", "app-secret")

    def publish(self, message: Message) -> Future[None]:
        self.published.append(message)
        done: Future[None] = Future()
        done.set_result(None)
        return done


@pytest.mark.parametrize("how", ["from_env", "from_dict", "from_toml", "settings"])
def test_the_local_driver_publishes_on_the_server_given(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    monkeypatch.setenv("BROADCAST_DRIVER", "local")
    (tmp_path / "broadcast.toml").write_text('driver = "local"')
    broadcast = {
        "from_env": lambda: BroadcastManager.from_env(server=server),
        "from_dict": lambda: BroadcastManager.from_dict({"driver": "local"}, server=server),
        "from_toml": lambda: BroadcastManager.from_toml(tmp_path / "broadcast.toml", server=server),
        "settings": lambda: BroadcastManager(Settings("local"), server=server),
    }[how]()

    broadcast.send(PING)

    assert [message.name for message in server.published] == ["ping"]


# Options


def picky(token: str, colour: str = "red") -> Driver:
    return RecordingDriver(refuses=f"{colour} {len(token)}")


def test_options_reach_the_factory_as_keyword_arguments() -> None:
    broadcast = BroadcastManager(Settings("eu", {"eu": DriverConfig("picky", {"token": "abc"})}))
    broadcast.extend("picky", picky)

    with pytest.raises(DeliveryError, match="red 3"):
        broadcast.send(PING)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"colour": "hunter2"}, "missing a required argument: 'token'; given: 'colour'"),
        (
            {"token": "hunter2", "tone": "hunter2"},
            "got an unexpected keyword argument 'tone'; given: 'token', 'tone'",
        ),
    ],
)
def test_wrong_options_are_named_without_their_values(options: dict[str, str], said: str) -> None:
    broadcast = BroadcastManager(Settings("eu", {"eu": DriverConfig("picky", options)}))
    broadcast.extend("picky", picky)

    with pytest.raises(ConfigurationError) as caught:
        broadcast.driver()

    assert str(caught.value) == f"driver 'eu': {said}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("kind", ["log", "null"])
def test_a_driver_without_options_takes_none(kind: str) -> None:
    broadcast = BroadcastManager(Settings("eu", {"eu": DriverConfig(kind, {"colour": "red"})}))

    with pytest.raises(ConfigurationError, match="unexpected keyword argument 'colour'; given: 'colour'"):
        broadcast.driver()


def test_the_server_is_no_option_of_the_local_driver() -> None:
    settings = Settings("local", {"local": DriverConfig("local", {"server": "here"})})

    with pytest.raises(ConfigurationError, match="'server'"):
        BroadcastManager(settings, server=Server()).driver()


def test_a_mistake_inside_of_a_factory_is_not_taken_for_a_wrong_option() -> None:
    def broken() -> Driver:
        raise TypeError("'NoneType' object is not callable")

    broadcast = BroadcastManager(Settings("broken"))
    broadcast.extend("broken", broken)

    with pytest.raises(TypeError, match="not callable") as caught:
        broadcast.driver()

    assert not isinstance(caught.value, ConfigurationError)
    assert caught.value.__notes__ == ["while making the driver 'broken'"]


def test_a_factory_that_fails_is_asked_again() -> None:
    attempts = iter([ConnectionError("not yet"), None])

    def hesitant() -> Driver:
        if error := next(attempts):
            raise error
        return NullDriver()

    broadcast = BroadcastManager(Settings("hesitant"))
    broadcast.extend("hesitant", hesitant)
    with pytest.raises(ConnectionError):
        broadcast.driver()

    assert isinstance(broadcast.driver(), NullDriver)


# More kinds of driver


def test_a_kind_that_is_added_is_used_and_known() -> None:
    driver = RecordingDriver()
    broadcast = BroadcastManager(Settings("carrier"))

    broadcast.extend("carrier", lambda: driver)

    assert broadcast.driver() is driver
    with pytest.raises(ConfigurationError, match="did you mean 'carrier'"):
        broadcast.driver("carier")


def test_a_kind_that_is_replaced_is_made_again_and_the_old_driver_closed() -> None:
    old, new = RecordingDriver(), RecordingDriver()
    broadcast = BroadcastManager(Settings("eu", {"eu": DriverConfig("carrier"), "us": DriverConfig("null")}))
    broadcast.extend("carrier", lambda: old)
    broadcast.send(PING)
    untouched = broadcast.driver("us")

    broadcast.extend("carrier", lambda: new)
    broadcast.send(PING)

    assert (len(old.delivered), old.closed) == (1, 1)
    assert (len(new.delivered), new.closed) == (1, 0)
    assert broadcast.driver("us") is untouched


def test_a_builtin_kind_may_be_replaced() -> None:
    driver = RecordingDriver()
    broadcast = BroadcastManager()

    broadcast.extend("log", lambda: driver)
    broadcast.send(PING)

    assert len(driver.delivered) == 1


def test_a_factory_may_ask_for_other_drivers() -> None:
    broadcast = BroadcastManager(Settings("outer"))

    broadcast.extend("outer", lambda: broadcast.driver("null"))

    assert broadcast.driver() is broadcast.driver("null")


@pytest.fixture
def pigeon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install another distribution, which offers the driver `pigeon`."""
    info = tmp_path / "broadcaster_pigeon-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broadcaster-pigeon\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[broadcaster.drivers]\npigeon = broadcaster_pigeon:Pigeon\n")
    (tmp_path / "broadcaster_pigeon.py").write_text(
        "from broadcaster.drivers.null import NullDriver\n"
        "class Pigeon(NullDriver):\n"
        "    name = 'pigeon'\n"
        "    def __init__(self, *, altitude=100):\n"
        "        self.altitude = altitude\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("broadcaster_pigeon", None)


@pytest.mark.usefixtures("pigeon")
def test_another_distribution_may_offer_a_driver() -> None:
    broadcast = BroadcastManager(Settings("carrier", {"carrier": DriverConfig("pigeon", {"altitude": 300})}))

    driver: Any = broadcast.driver()

    assert (type(driver).__name__, driver.altitude) == ("Pigeon", 300)
    assert type(broadcast.driver("pigeon")) is type(driver)


@pytest.mark.usefixtures("pigeon")
def test_a_driver_of_another_distribution_is_suggested() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'pigeon'"):
        BroadcastManager().driver("pidgeon")


@pytest.mark.usefixtures("pigeon")
def test_what_the_application_adds_goes_before_another_distribution() -> None:
    driver = RecordingDriver()
    broadcast = BroadcastManager()

    broadcast.extend("pigeon", lambda: driver)

    assert broadcast.driver("pigeon") is driver


# Threads, opening and closing


def test_threads_that_come_at_the_same_time_share_one_driver() -> None:
    made: list[Driver] = []
    all_here, second = threading.Barrier(8), threading.Event()
    broadcast = BroadcastManager(Settings("slow"))

    def slow() -> Driver:
        made.append(NullDriver())
        if len(made) > 1:
            second.set()
        # Long enough for a second thread to come in, if one could.
        second.wait(0.05)
        return made[-1]

    def use() -> Driver:
        all_here.wait(5)
        return broadcast.driver()

    broadcast.extend("slow", slow)
    with ThreadPoolExecutor(8) as threads:
        seen = [future.result(5) for future in [threads.submit(use) for _ in range(8)]]

    assert len(made) == 1
    assert set(seen) == set(made)


def test_closing_closes_every_driver_that_was_made() -> None:
    eu, us, unused = RecordingDriver(), RecordingDriver(), RecordingDriver()
    with recording(eu=eu, us=us, unused=unused) as broadcast:
        broadcast.send(PING, via=["eu", "us"])

    assert (eu.closed, us.closed, unused.closed) == (1, 1, 0)


async def test_a_manager_is_an_async_context_manager_too() -> None:
    driver = RecordingDriver()

    async with recording(eu=driver) as broadcast:
        await broadcast.asend(PING)

    assert driver.closed == 1


def test_a_closed_manager_may_send_again() -> None:
    driver = RecordingDriver()
    broadcast = recording(eu=driver)

    with broadcast:
        broadcast.send(PING)
    with broadcast:
        broadcast.send(PING)

    assert (len(driver.delivered), driver.closed) == (2, 2)


class Stuck(RecordingDriver):
    def close(self) -> None:
        super().close()
        raise OSError("it does not close")

    async def aclose(self) -> None:
        self.close()


@pytest.mark.parametrize("via", [["stuck", "eu"], ["eu", "stuck"]])
def test_a_driver_that_does_not_close_keeps_no_other_open(via: list[str]) -> None:
    eu, stuck = RecordingDriver(), Stuck()
    broadcast = recording(stuck=stuck, eu=eu)
    broadcast.send(PING, via=via)

    with pytest.raises(OSError, match="it does not close"):
        broadcast.close()
    with pytest.raises(OSError, match="it does not close"):
        asyncio.run(broadcast.aclose())

    assert (eu.closed, stuck.closed) == (2, 2)


def test_an_error_inside_of_the_block_is_not_swallowed() -> None:
    driver = RecordingDriver()
    broadcast = recording(eu=driver)

    broadcast.send(PING)
    with pytest.raises(KeyError), broadcast:
        raise KeyError("x")

    assert driver.closed == 1


# Drivers made of others


def grouped(**tables: dict[str, object]) -> BroadcastManager:
    broadcast = BroadcastManager.from_dict({"driver": "group", "drivers": tables})
    broadcast.extend("recording", RecordingDriver)
    return broadcast


def test_a_group_is_made_of_the_managers_own_drivers() -> None:
    broadcast = grouped(
        group={"driver": "failover", "drivers": ["first", "recording"]},
        first={"driver": "recording", "refuses": "not today"},
    )
    second = broadcast.driver("recording")

    broadcast.send(PING)
    broadcast.close()

    assert isinstance(second, RecordingDriver)
    assert [message.name for message in second.delivered] == ["ping"]
    assert second.closed == 1


def test_a_member_that_cannot_be_made_is_told_before_anything_is_sent() -> None:
    broadcast = grouped(group={"driver": "stack", "drivers": ["recording", "nul"]})

    with pytest.raises(ConfigurationError, match="no driver named 'nul', did you mean 'null'"):
        broadcast.send(PING)


def test_a_group_within_itself_is_refused() -> None:
    broadcast = grouped(
        group={"driver": "stack", "drivers": ["log", "inner"]},
        inner={"driver": "failover", "drivers": ["null", "group"]},
    )

    with pytest.raises(ConfigurationError) as caught:
        broadcast.send(PING)

    assert str(caught.value) == "driver 'group' is made of itself: group -> inner -> group"


def test_a_kind_that_is_replaced_is_replaced_within_groups_too() -> None:
    broadcast = grouped(group={"driver": "stack", "drivers": ["recording"]})
    broadcast.send(PING)
    new = RecordingDriver()

    broadcast.extend("recording", lambda: new)
    broadcast.send(PING)

    assert len(new.delivered) == 1


def test_an_event_may_name_a_driver_that_only_variables_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_DRIVER", "log")
    monkeypatch.setenv("BROADCAST_FAILOVER", "log,null")
    monkeypatch.delenv("ABLY_KEY", raising=False)
    broadcast = BroadcastManager.from_env()

    broadcast.send(PING, via="failover")
    with pytest.raises(ConfigurationError, match="missing ABLY_KEY"):
        broadcast.send(PING, via="ably")


def test_a_driver_whose_variables_are_missing_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_DRIVER", "log")
    monkeypatch.delenv("ABLY_KEY", raising=False)
    broadcast = BroadcastManager.from_env()
    driver = RecordingDriver()

    broadcast.extend("ably", lambda: driver)
    broadcast.send(PING, via="ably")

    assert len(driver.delivered) == 1


def test_every_driver_of_a_replaced_kind_is_closed_also_after_one_that_fails_to() -> None:
    class Stuck(RecordingDriver):
        def close(self) -> None:
            super().close()
            raise OSError("stuck")

    old: list[Stuck] = []

    def make() -> Driver:
        old.append(Stuck())
        return old[-1]

    tables = {name: DriverConfig("recording") for name in "ab"}
    broadcast = BroadcastManager(Settings("a", tables))
    broadcast.extend("recording", make)
    broadcast.driver("a")
    broadcast.driver("b")

    with pytest.raises(OSError, match="stuck"):
        broadcast.extend("recording", RecordingDriver)

    assert [driver.closed for driver in old] == [1, 1]
    assert not isinstance(broadcast.driver("b"), Stuck)


# The queue


class Mailed(AnonymousEvent, ShouldQueue):
    pass


def test_the_environment_chooses_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_QUEUE", "memory")
    recorder = RecordingDriver()
    with BroadcastManager.from_env() as manager:
        manager.extend("recording", lambda: recorder)

        manager.send(Mailed("ping", on="lobby"), via="recording")

        assert isinstance(manager.queue, MemoryQueue)
    assert [message.name for message in recorder.delivered] == ["ping"]


def test_without_a_word_there_is_no_queue() -> None:
    assert BroadcastManager().queue is None


def test_what_is_queued_is_captured_as_if_it_was_sent() -> None:
    manager = BroadcastManager.from_dict({"queue": "memory"})

    with capture(manager) as outbox:
        manager.send(Mailed("ping", on="lobby"))

    outbox.assert_sent("ping", times=1)


def test_a_queue_of_the_applications_own_gets_the_manager_and_takes_what_may_wait() -> None:
    class Said(AnonymousEvent, ShouldQueue):
        pass

    driver = RecordingDriver()
    manager = BroadcastManager.from_dict({"driver": "kept"}, queue=partial(MemoryQueue, size=1))
    manager.extend("kept", lambda: driver)

    manager.send(Said("ping", on="lobby"))

    manager.close()
    assert isinstance(manager.queue, MemoryQueue)
    assert [message.name for message in driver.delivered] == ["ping"]

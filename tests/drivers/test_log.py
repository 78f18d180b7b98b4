from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator

import pytest

from broadcaster import Message
from broadcaster.drivers.log import LogDriver
from broadcaster.testing.contracts.drivers import DriverContract, Received

PING = Message("ping", ("lobby", "private-a"), '{"a":"☃"}')


@pytest.fixture(autouse=True)
def _at_level_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "broadcaster.log")


async def test_a_message_is_one_line_at_level_info(caplog: pytest.LogCaptureFixture) -> None:
    driver = LogDriver()

    driver.deliver(PING)
    await driver.adeliver(PING)

    line = 'broadcast \'ping\' on lobby, private-a: {"a":"☃"}'
    assert caplog.record_tuples == [("broadcaster.log", logging.INFO, line)] * 2


def test_several_messages_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    LogDriver().deliver_many([PING, PING])

    assert len(caplog.records) == 2


def test_the_socket_that_is_left_out_is_named(caplog: pytest.LogCaptureFixture) -> None:
    LogDriver().deliver(Message("ping", ("lobby",), "{}", except_socket="12.34"))

    assert caplog.messages == ["broadcast 'ping' on lobby except to 12.34: {}"]


def test_a_line_break_in_a_name_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    LogDriver().deliver(Message("ping\nERROR root", ("lobby",), '"a\\nb"'))

    assert caplog.messages == [r"""broadcast 'ping\nERROR root' on lobby: "a\nb" """.strip()]


def test_a_percent_sign_is_not_a_format(caplog: pytest.LogCaptureFixture) -> None:
    LogDriver().deliver(Message("100%s", ("lobby",), '"%d"'))

    assert caplog.messages == ["broadcast '100%s' on lobby: \"%d\""]


def test_a_level_above_info_keeps_it_quiet(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING, "broadcaster.log")

    LogDriver().deliver(PING)

    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_a_program_that_never_configured_logging_sees_the_line_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger("broadcaster.log"), "propagate", False)

    LogDriver().deliver(PING)

    assert capsys.readouterr() == ("", 'broadcast \'ping\' on lobby, private-a: {"a":"☃"}\n')


LINE = re.compile(
    r"broadcast (?P<name>'.*'|\".*\") on (?P<channels>\S+(?:, \S+)*?)(?: except to (?P<socket>\S+))?: "
)


class Log(logging.Handler):
    """Reads the lines that the driver writes."""

    socket_id = "12.34"

    def __init__(self) -> None:
        super().__init__()
        self._received: list[Received] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        match = LINE.match(line)
        assert match is not None, line
        for channel in match["channels"].split(", "):
            name, data = ast.literal_eval(match["name"]), json.loads(line[match.end() :])
            self._received.append(Received(name, channel, data, match["socket"]))

    def driver(self, *, timeout: float | None = None, retries: int | None = None) -> LogDriver:
        return LogDriver()

    def listen(self, *channels: str) -> None:
        """Nothing to do: every line is read."""

    def received(self, count: int) -> list[Received]:
        return list(self._received)


class TestLogDriver(DriverContract):
    @pytest.fixture
    def peer(self) -> Iterator[Log]:
        log = Log()
        logger = logging.getLogger("broadcaster.log")
        logger.addHandler(log)
        yield log
        logger.removeHandler(log)

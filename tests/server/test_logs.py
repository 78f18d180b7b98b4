import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from broadcaster.server.logs import JsonFormatter, Redaction, TextFormatter
from broadcaster.signing import Credentials

SECRET = 'kept "very"/secret\\ü'
SIGNED = Credentials("app-key", SECRET).channel_auth("1.2", "private-orders")
SIGNATURE = SIGNED.partition(":")[2]


class Lines(logging.Handler):
    """Keeps what a formatter makes of every record."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(params=[TextFormatter, JsonFormatter])
def lines(request: pytest.FixtureRequest) -> Iterator[Lines]:
    handler = Lines(request.param(Redaction(lambda: [SECRET])))
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


logger = logging.getLogger("tests.logs")

TELLING = [
    f"signed with {SECRET} itself",
    "redis://:hush-hush@10.0.0.5:6379 is away",
    "redis://app:hush-hush@10.0.0.5:6379/0",
    "rediss://hush-hush@cache",
    "https://me:hush-hush@example.com/hook?a=b",
    "redis://:hush-hush@hush-hush@10.0.0.5",
    f"refused: auth={SIGNED}",
    f"GET /apps/1/events?auth_key=app-key&auth_signature={SIGNATURE}&auth_version=1.0",
    f'received {{"channel": "private-orders", "auth": "{SIGNED}"}}',
    f"the signature was {SIGNATURE.upper()}",
    "Authorization: Bearer hush-hush",
    "authorization: Basic aHVzaC1odXNo hush-hush",
    "{'Authorization': 'Bearer hush-hush', 'Host': 'example.com'}",
    "[(b'authorization', b'Bearer hush-hush')]",
    "Proxy-Authorization: Digest username=hush-hush",
    "PUSHER_APP_SECRET=hush-hush",
    "REDIS_PASSWORD='hush-hush'",
    "App(id='1', secret='hush-hush')",
    "connect(password='hush-hush', port=1)",
    '{"secret": "hush-hush", "id": "1"}',
    '{"data": "{\\"secret\\": \\"hush-hush\\"}"}',
    "{'token': 'hush-hush'}",
    "{'password': 'hush-hush, and then cut sho",
    "connect(password='hush-hush, and then cut sho",
    "{'Authorization': 'Bearer hush-hush, and then cut sho",
]


def tells(text: str) -> list[str]:
    kept = ["hush-hush", "aHVzaC1odXNo", SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], SIGNATURE]
    return [secret for secret in kept if secret.lower() in text.lower()]


@pytest.mark.parametrize("text", TELLING)
def test_a_message_tells_no_secret(lines: Lines, text: str) -> None:
    logger.warning(text)

    assert tells(lines.lines[0]) == []
    assert "***" in lines.lines[0]


@pytest.mark.parametrize("text", TELLING)
def test_an_argument_tells_no_secret(lines: Lines, text: str) -> None:
    logger.warning("it said %s", text)

    assert tells(lines.lines[0]) == []


@pytest.mark.parametrize("text", [text for text in TELLING if '"' not in text])
def test_an_argument_in_quotes_tells_no_secret(lines: Lines, text: str) -> None:
    logger.warning("it said %r", [text])

    assert tells(lines.lines[0]) == []


@pytest.mark.parametrize("text", TELLING)
def test_a_traceback_tells_no_secret(lines: Lines, text: str) -> None:
    try:
        try:
            raise ConnectionError(text)  # noqa: TRY301
        except ConnectionError as error:
            raise ValueError("cannot: " + text) from error
    except ValueError:
        logger.exception("it broke")

    assert tells(lines.lines[0]) == []
    assert "ConnectionError" in lines.lines[0]


@pytest.mark.parametrize("text", TELLING)
def test_a_field_tells_no_secret(lines: Lines, text: str) -> None:
    logger.warning("it broke", extra={"about": text, "held": [text], "password": "hush-hush"})

    assert tells(lines.lines[0]) == []


@pytest.mark.parametrize(
    "text",
    [
        "GET '/apps/1/channels' refused with 401: auth_key is missing, or not this application's key",
        "invalid auth_signature for POST /apps/1/events: check the secret and what was signed",
        "missing PUSHER_APP_KEY, PUSHER_APP_SECRET: the credentials of the application to serve",
        "no address of a Redis; write redis://host:6379/0",
        "mail to ops@example.com about http://127.0.0.1:6001 (app 1, key app-key)",
        "connection refused with 4009: Pages of 'https://evil.example' may not connect",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert Redaction().redact(text) == text


def test_secrets_are_those_of_the_moment() -> None:
    secrets = ["first-one"]
    redaction = Redaction(lambda: secrets)

    secrets[:] = ["second-one", "abc"]

    assert redaction.redact("first-one second-one abc") == "first-one *** abc"


def test_a_record_is_one_object_with_its_fields() -> None:
    handler = Lines(JsonFormatter(Redaction()))
    record = logging.LogRecord("broadcaster.server", logging.WARNING, "x.py", 1, "a %s\nb", ("c",), None)
    record.created = 1_700_000_000.25
    record.code, record.odd = 4009, {1}

    handler.handle(record)

    (line,) = handler.lines
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "broadcaster.server",
        "message": "a c\nb",
        "code": 4009,
        "odd": "{1}",
    }


def test_numbers_that_json_has_not_are_text() -> None:
    record: Any = logging.LogRecord("n", logging.INFO, "x.py", 1, "m", (), None)
    record.late = float("nan")

    line = JsonFormatter(Redaction()).format(record)

    assert json.loads(line, parse_constant=pytest.fail)["late"] == "nan"


def test_a_traceback_is_a_field() -> None:
    handler = Lines(JsonFormatter(Redaction()))
    try:
        raise ValueError("wrong")  # noqa: TRY301
    except ValueError:
        handler.handle(logging.LogRecord("n", logging.ERROR, "x.py", 1, "m", (), sys.exc_info()))

    assert json.loads(handler.lines[0])["exception"].endswith("ValueError: wrong")


@pytest.mark.parametrize("part", ["a://", "password=", "'auth': '", "a-", "x", "\\", "'", "\\'", "bearer "])
def test_text_without_end_takes_no_time_without_end(part: str) -> None:
    text = part * (40_000 // len(part))

    begun = time.process_time()
    Redaction().redact(text)

    assert time.process_time() - begun < 5


def test_a_worker_says_which_one_it_is() -> None:
    record = logging.makeLogRecord({"msg": "gone", "levelname": "INFO"})

    text = TextFormatter(Redaction(), worker=2).format(record)
    fields = json.loads(JsonFormatter(Redaction(), worker=2).format(record))

    assert text.endswith(" INFO worker 2: gone")
    assert (fields["worker"], fields["message"]) == (2, "gone")

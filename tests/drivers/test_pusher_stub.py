"""The stub that judges the Pusher driver, against signatures that others have published or computed."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

import pytest

from tests.drivers.pusher_stub import Refused, signature, verify

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
EMPTY = hashlib.md5(b"").hexdigest()

# What is asked, its body, the time, and the signature: Pusher's own page first, then what its SDKs sign.
POSTS = [
    (
        "/apps/3/events",
        r'{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}',
        1353088179,
        "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
    ),
    (
        "/apps/3/events",
        (
            r'{"channel":"my-channel","name":"my-event","data":"{\"message\":\"hello\"}",'
            r'"socket_id":"1234.1234","info":"user_count,subscription_count"}'
        ),
        1700000000,
        "7d118502d844ab4fbb02709296f349ab74ffc74c50b2af1a1450fd450ecac8de",
    ),
    (
        "/apps/3/events",
        (
            r'{"name":"my-event","data":"{\"message\":\"hello\"}","channels":["my-channel"],'
            r'"socket_id":"1234.1234","info":"user_count,subscription_count"}'
        ),
        1700000000,
        "fa0c091b4eacb6d064a64c7785e82b28213e48e522aba1b6d74b44ab51392d3b",
    ),
    (
        "/apps/3/batch_events",
        (
            '{"batch":[{"channel":"a","name":"e","data":"{}"},'
            '{"channel":"presence-b","name":"e","data":"{}","info":"user_count"}]}'
        ),
        1700000000,
        "1e7d01bad1afc362d7eab0d6b8d0f56a837efdbb21c21d035609fcbdd427518d",
    ),
    (
        "/apps/3/users/user-1/terminate_connections",
        "{}",
        1700000000,
        "b4e152e8102620cc068aaf8ee159d3151ec468fa35e4b24355ea8c4e750a6908",
    ),
    (
        "/apps/3/users/user-1/terminate_connections",
        "",
        1700000000,
        "e69abac6468fe57d34b050b74455d68b4b81b146abf8641501551ea336689944",
    ),
    (
        "/apps/3/events",
        '{"name":"café","channel":"x","data":"☃"}',
        1700000000,
        "2517ac5e1fb4393126c033162ed703021978bab4a2eae554945e00e55614d60a",
    ),
    (
        "/apps/3/events",
        r'{"name": "foo", "channels": ["project-3"], "data": "{\"some\":\"data\"}"}',
        1353088179,
        "6ca021b21608bbd9ab698da5cda6b718041fc48fd5a8018e2dd0255cf00b659e",
    ),
]
GETS = [
    (
        "/apps/3/channels",
        {"filter_by_prefix": "presence-", "info": "user_count"},
        "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
    ),
    (
        "/apps/3/channels",
        {"filter_by_prefix": "presence-", "Info": "user_count"},
        "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
    ),
    ("/apps/3/channels", {}, "4707afdd8f617b6c4cd52e889d9136a131f31f57e26ce815afd04af0b804c7d3"),
    (
        "/apps/3/channels/presence-foobar",
        {"info": "user_count,subscription_count"},
        "117e082c7dff8537497b0f08dd31c0b8ee92e5c3bc2518238afed83c03e6966e",
    ),
    (
        "/apps/3/channels/presence-foobar/users",
        {},
        "9e7cd451c60103a5a50ac29611500f874871a63a6c627727ac333981759139a1",
    ),
    ("/apps/3/connections", {}, "e163ce08b07dc0654320dce9fda87500dcca6d3c8251ff3f22abb0b92cacbcc6"),
]
# Only the text is signed: the digest of nothing is what Pusher's Python SDK sends with a GET.
TEXTS = [
    (
        ("GET", "/apps/3/channels", 1700000000, {"body_md5": EMPTY}),
        "3eb4c48c77d10169b68e017bac77f4257862305d645b1e6b475f8da730c6f6de",
    ),
    (
        (
            "GET",
            "/apps/3/channels",
            1700000000,
            {"body_md5": EMPTY, "filter_by_prefix": "presence-", "info": "user_count"},
        ),
        "3fc9da7cb4e6d626b1c5a1b1f0179acebb2b238818aab773b9aa682659ddfe10",
    ),
]
TEXTS_OF_ITS_TESTS = [
    (
        ("GET", {"body_md5": EMPTY, "foo": "bar"}),
        "5c49f04a95eedc9028b1e0e8de7c2c7ad63504a0e3b5c145d2accaef6c14dbac",
    ),
    (
        ("POST", {"body_md5": hashlib.md5(b'{"foo": "bar"}').hexdigest()}),
        "e05fa4cafee86311746ee3981d5581a5e4e87c27bbab0aeb1059e2df5c90258b",
    ),
]


def target(path: str, signed: str, timestamp: int, **params: str) -> str:
    params |= {
        "auth_key": KEY,
        "auth_timestamp": str(timestamp),
        "auth_version": "1.0",
        "auth_signature": signed,
    }
    return f"{path}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items())


def posted(path: str, body: bytes, timestamp: int, signed: str) -> str:
    digest = {"body_md5": hashlib.md5(body).hexdigest()} if body else {}
    return target(path, signed, timestamp, **digest)


@pytest.mark.parametrize(("path", "text", "timestamp", "signed"), POSTS)
def test_it_takes_the_requests_that_others_signed(path: str, text: str, timestamp: int, signed: str) -> None:
    body = text.encode()

    verified, _ = verify(
        "POST", posted(path, body, timestamp, signed), body, secret=SECRET, now=timestamp + 599
    )

    assert verified == path


@pytest.mark.parametrize(("path", "params", "signed"), GETS)
def test_it_takes_the_questions_that_others_signed(path: str, params: dict[str, str], signed: str) -> None:
    _, read = verify("GET", target(path, signed, 1700000000, **params), b"", secret=SECRET, now=1700000000)

    assert params.items() <= read.items()


@pytest.mark.parametrize(("asked", "signed"), TEXTS)
def test_it_signs_as_the_sdk_does(asked: tuple[str, str, int, dict[str, str]], signed: str) -> None:
    method, path, timestamp, params = asked
    auth = {"auth_key": KEY, "auth_timestamp": str(timestamp), "auth_version": "1.0"}

    assert signature(SECRET, method, path, {**auth, **params}) == signed


@pytest.mark.parametrize(("asked", "signed"), TEXTS_OF_ITS_TESTS)
def test_it_signs_as_the_tests_of_the_sdk_say(asked: tuple[str, dict[str, str]], signed: str) -> None:
    method, params = asked
    auth = {"auth_key": "key", "auth_timestamp": "1000", "auth_version": "1.0"}

    assert signature("secret", method, "/some/obscure/api", {**auth, **params}) == signed


PATH, TEXT, TIMESTAMP, SIGNED = POSTS[0]
BODY = TEXT.encode()
GOOD = posted(PATH, BODY, TIMESTAMP, SIGNED)


@pytest.mark.parametrize(
    ("method", "target", "body", "late"),
    [
        ("POST", GOOD, BODY.replace(b"foo", b"fop"), 0),
        ("POST", GOOD, BODY, 601),
        ("POST", GOOD, BODY, -601),
        ("POST", GOOD.replace(SIGNED, SIGNED.upper()), BODY, 0),
        ("POST", GOOD.replace(SIGNED, ""), BODY, 0),
        ("POST", GOOD.replace(f"&auth_signature={SIGNED}", ""), BODY, 0),
        ("POST", GOOD.replace(KEY, "another"), BODY, 0),
        ("POST", GOOD + "&info=user_count", BODY, 0),
        ("POST", GOOD + "&auth_version=1.0", BODY, 0),
        ("POST", GOOD.replace("/events", "/batch_events"), BODY, 0),
        ("PUT", GOOD, BODY, 0),
        (
            # The SDK puts the digest of nothing here, and servers differ in what they make of it.
            "GET",
            target("/apps/3/channels", TEXTS[0][1], TIMESTAMP, body_md5=EMPTY),
            b"",
            0,
        ),
        (
            # Signed as it travels, not as it reads.
            "GET",
            target(
                "/apps/3/channels",
                signature(
                    SECRET,
                    "GET",
                    "/apps/3/channels",
                    {
                        "auth_key": KEY,
                        "auth_timestamp": str(TIMESTAMP),
                        "auth_version": "1.0",
                        "info": "a%2Cb",
                    },
                ),
                TIMESTAMP,
                info="a,b",
            ),
            b"",
            0,
        ),
    ],
)
def test_it_refuses_everything_else(method: str, target: str, body: bytes, late: int) -> None:
    with pytest.raises(Refused) as caught:
        verify(method, target, body, secret=SECRET, now=TIMESTAMP + late)

    assert caught.value.status == 401


def test_it_does_not_ask_for_the_path_it_lies_below_to_be_signed() -> None:
    below = GOOD.replace("/apps", "/realtime/apps")

    assert verify("POST", below, BODY, secret=SECRET, now=TIMESTAMP, below="/realtime")[0] == PATH

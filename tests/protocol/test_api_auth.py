from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from broadcaster.protocol.api import ApiRequest
from broadcaster.protocol.api_auth import check_signature
from broadcaster.protocol.api_errors import ApiError
from broadcaster.signing import Credentials, body_digest

from .conversation import CREDENTIALS, signed

NOW = 1_700_000_000
SDK_TESTS = Credentials("key", "secret")
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True)
class Vector:
    """A request whose signature was published, or computed by a server SDK."""

    method: str
    path: str
    signature: str
    query: tuple[tuple[str, str], ...] = ()
    body: str = ""
    md5: str | None = None
    time: int = NOW
    credentials: Credentials = CREDENTIALS

    def request(self) -> ApiRequest:
        digest = [("body_md5", self.md5)] if self.md5 is not None else []
        query = [
            ("auth_key", self.credentials.key),
            ("auth_timestamp", str(self.time)),
            ("auth_version", "1.0"),
            *digest,
            *self.query,
            ("auth_signature", self.signature),
        ]
        return ApiRequest(self.method, self.path, query, self.body.encode())


VECTORS = {
    "V1 Pusher's own page": Vector(
        "POST",
        "/apps/3/events",
        "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
        body='{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}',
        md5="ec365a775a4cd0599faeb73354201b6f",
        time=1353088179,
    ),
    "V2 one channel, socket and info": Vector(
        "POST",
        "/apps/3/events",
        "7d118502d844ab4fbb02709296f349ab74ffc74c50b2af1a1450fd450ecac8de",
        body='{"channel":"my-channel","name":"my-event","data":"{\\"message\\":\\"hello\\"}",'
        '"socket_id":"1234.1234","info":"user_count,subscription_count"}',
        md5="a51f0f07ee7c40f10431597e8d879e04",
    ),
    "V3 Node's order of keys": Vector(
        "POST",
        "/apps/3/events",
        "fa0c091b4eacb6d064a64c7785e82b28213e48e522aba1b6d74b44ab51392d3b",
        body='{"name":"my-event","data":"{\\"message\\":\\"hello\\"}","channels":["my-channel"],'
        '"socket_id":"1234.1234","info":"user_count,subscription_count"}',
        md5="b95a872244b535f2f6974d1faacec184",
    ),
    "V4 a batch": Vector(
        "POST",
        "/apps/3/batch_events",
        "1e7d01bad1afc362d7eab0d6b8d0f56a837efdbb21c21d035609fcbdd427518d",
        body='{"batch":[{"channel":"a","name":"e","data":"{}"},'
        '{"channel":"presence-b","name":"e","data":"{}","info":"user_count"}]}',
        md5="16221173feb617042dd80677aa23e526",
    ),
    "V5 a query": Vector(
        "GET",
        "/apps/3/channels",
        "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
        query=(("filter_by_prefix", "presence-"), ("info", "user_count")),
    ),
    "V5 its parameters in another order": Vector(
        "GET",
        "/apps/3/channels",
        "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
        query=(("info", "user_count"), ("filter_by_prefix", "presence-")),
    ),
    "V5 a key in upper case": Vector(
        "GET",
        "/apps/3/channels",
        "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
        query=(("filter_by_prefix", "presence-"), ("Info", "user_count")),
    ),
    "V6 no query": Vector(
        "GET", "/apps/3/channels", "4707afdd8f617b6c4cd52e889d9136a131f31f57e26ce815afd04af0b804c7d3"
    ),
    "V7 a comma": Vector(
        "GET",
        "/apps/3/channels/presence-foobar",
        "117e082c7dff8537497b0f08dd31c0b8ee92e5c3bc2518238afed83c03e6966e",
        query=(("info", "user_count,subscription_count"),),
    ),
    "V8 users": Vector(
        "GET",
        "/apps/3/channels/presence-foobar/users",
        "9e7cd451c60103a5a50ac29611500f874871a63a6c627727ac333981759139a1",
    ),
    "V9 an empty object as body": Vector(
        "POST",
        "/apps/3/users/user-1/terminate_connections",
        "b4e152e8102620cc068aaf8ee159d3151ec468fa35e4b24355ea8c4e750a6908",
        body="{}",
        md5="99914b932bd37a50b983c5e7c90ae93b",
    ),
    "V10 no body": Vector(
        "POST",
        "/apps/3/users/user-1/terminate_connections",
        "e69abac6468fe57d34b050b74455d68b4b81b146abf8641501551ea336689944",
    ),
    "V11 connections": Vector(
        "GET", "/apps/3/connections", "e163ce08b07dc0654320dce9fda87500dcca6d3c8251ff3f22abb0b92cacbcc6"
    ),
    "V12 other scripts": Vector(
        "POST",
        "/apps/3/events",
        "2517ac5e1fb4393126c033162ed703021978bab4a2eae554945e00e55614d60a",
        body='{"name":"café","channel":"x","data":"☃"}',
        md5="634e4e6a017c217582814aa8260eca15",
    ),
    "V13 Python's digest of nothing": Vector(
        "GET",
        "/apps/3/channels",
        "3eb4c48c77d10169b68e017bac77f4257862305d645b1e6b475f8da730c6f6de",
        md5=EMPTY_MD5,
    ),
    "V14 Python's digest of nothing, and a query": Vector(
        "GET",
        "/apps/3/channels",
        "3fc9da7cb4e6d626b1c5a1b1f0179acebb2b238818aab773b9aa682659ddfe10",
        query=(("filter_by_prefix", "presence-"), ("info", "user_count")),
        md5=EMPTY_MD5,
    ),
    "V15 Python's own test, GET": Vector(
        "GET",
        "/some/obscure/api",
        "5c49f04a95eedc9028b1e0e8de7c2c7ad63504a0e3b5c145d2accaef6c14dbac",
        query=(("foo", "bar"),),
        md5=EMPTY_MD5,
        time=1000,
        credentials=SDK_TESTS,
    ),
    "V16 Python's own test, POST": Vector(
        "POST",
        "/some/obscure/api",
        "e05fa4cafee86311746ee3981d5581a5e4e87c27bbab0aeb1059e2df5c90258b",
        body='{"foo": "bar"}',
        md5="94232c5b8fc9272f6f73a1e36eb68fcf",
        time=1000,
        credentials=SDK_TESTS,
    ),
    "V17 Python's spaces": Vector(
        "POST",
        "/apps/3/events",
        "6ca021b21608bbd9ab698da5cda6b718041fc48fd5a8018e2dd0255cf00b659e",
        body='{"name": "foo", "channels": ["project-3"], "data": "{\\"some\\":\\"data\\"}"}',
        md5="fc3b09a10b64bfbae6a3fe62247c2535",
        time=1353088179,
    ),
}


def check(request: ApiRequest, *, credentials: Credentials = CREDENTIALS, now: float = NOW) -> None:
    check_signature(
        {credentials.key: credentials},
        request.method,
        request.path,
        request.query,
        request.body,
        now=now,
    )


def refusal(request: ApiRequest, *, now: float = NOW) -> str:
    with pytest.raises(ApiError) as caught:
        check(request, now=now)
    assert caught.value.status == 401
    return caught.value.message


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_the_signatures_of_server_sdks_are_taken(vector: Vector) -> None:
    check(vector.request(), credentials=vector.credentials, now=vector.time)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_no_signature_holds_for_another_secret(vector: Vector) -> None:
    with pytest.raises(ApiError, match="invalid auth_signature"):
        check(vector.request(), credentials=Credentials(vector.credentials.key, "other"), now=vector.time)


# What no signature may cover

EVENTS = signed("POST", "/apps/3/events", body={"name": "e", "channel": "a", "data": "{}"})
CHANNELS = signed("GET", "/apps/3/channels", query=[("info", "user_count,subscription_count")])


def without(request: ApiRequest, name: str) -> ApiRequest:
    return request._replace(query=[(key, value) for key, value in request.query if key != name])


def having(request: ApiRequest, name: str, value: str) -> ApiRequest:
    return request._replace(query=[(key, value if key == name else old) for key, old in request.query])


def signature_of(request: ApiRequest) -> str:
    return dict(request.query)["auth_signature"]


@pytest.mark.parametrize("request_", [EVENTS, CHANNELS], ids=["POST", "GET"])
def test_what_the_next_tests_spoil_is_good(request_: ApiRequest) -> None:
    check(request_)


def test_a_byte_changed_in_the_body_is_noticed() -> None:
    assert "body_md5" in refusal(EVENTS._replace(body=EVENTS.body.replace(b'"e"', b'"f"')))


def test_a_body_changed_together_with_its_digest_is_noticed() -> None:
    body = EVENTS.body.replace(b'"e"', b'"f"')

    assert "auth_signature" in refusal(having(EVENTS._replace(body=body), "body_md5", body_digest(body)))


def test_a_body_without_a_digest_is_refused() -> None:
    assert "body_md5" in refusal(without(EVENTS, "body_md5"))


def test_a_signed_request_without_digest_may_not_get_a_body() -> None:
    assert "body_md5" in refusal(signed("POST", "/apps/3/events")._replace(body=b"{}"))


def test_a_digest_without_its_body_is_refused() -> None:
    assert "body_md5" in refusal(EVENTS._replace(body=b""))


def test_a_digest_in_upper_case_is_refused() -> None:
    assert "body_md5" in refusal(having(EVENTS, "body_md5", body_digest(EVENTS.body).upper()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: "",
        lambda good: good.upper(),
        lambda good: good[:-1],
        lambda good: good + "0",
        lambda good: good + "\n",
        lambda good: "0" * 64,
        lambda good: "é" * 64,
        lambda good: "\ud800",
    ],
    ids=["empty", "upper case", "shorter", "longer", "newline", "zeros", "not ASCII", "surrogate"],
)
def test_any_other_signature_is_refused(spoil: Callable[[str], str]) -> None:
    assert "auth_signature" in refusal(having(EVENTS, "auth_signature", spoil(signature_of(EVENTS))))


def test_a_missing_signature_is_refused() -> None:
    assert "auth_signature" in refusal(without(EVENTS, "auth_signature"))


def test_a_signature_over_percent_encoded_values_is_refused() -> None:
    encoded = signed("GET", "/apps/3/channels", query=[("info", "user_count%2Csubscription_count")])

    assert "auth_signature" in refusal(having(CHANNELS, "auth_signature", signature_of(encoded)))


def test_a_parameter_that_was_not_signed_is_noticed() -> None:
    assert "auth_signature" in refusal(CHANNELS._replace(query=[*CHANNELS.query, ("filter_by_prefix", "")]))


def test_a_parameter_that_is_gone_is_noticed() -> None:
    assert "auth_signature" in refusal(without(CHANNELS, "info"))


def test_a_changed_parameter_is_noticed() -> None:
    assert "auth_signature" in refusal(having(CHANNELS, "info", "user_count"))


def test_a_signature_is_for_one_method() -> None:
    assert "auth_signature" in refusal(CHANNELS._replace(method="POST"))


def test_a_signature_is_for_one_path() -> None:
    assert "auth_signature" in refusal(EVENTS._replace(path="/apps/3/batch_events"))


@pytest.mark.parametrize("key", ["", "other", CREDENTIALS.key.upper()])
def test_the_key_of_another_application_is_refused(key: str) -> None:
    request = signed("GET", "/apps/3/channels", credentials=Credentials(key, CREDENTIALS.secret))

    assert "auth_key" in refusal(request)


@pytest.mark.parametrize("name", ["auth_key", "auth_timestamp", "auth_version"])
def test_what_is_missing_is_named(name: str) -> None:
    assert name in refusal(without(EVENTS, name))


@pytest.mark.parametrize("version", ["", "1", "1.1", "2.0"])
def test_another_version_of_the_signature_is_refused(version: str) -> None:
    assert "auth_version" in refusal(having(EVENTS, "auth_version", version))


@pytest.mark.parametrize("seconds", [-600, -599, 0, 599, 600])
def test_a_clock_may_be_ten_minutes_off(seconds: int) -> None:
    check(EVENTS, now=NOW + seconds)


@pytest.mark.parametrize("seconds", [-100_000, -601, 600.5, 601, 10**9])
def test_a_request_from_another_time_is_refused(seconds: float) -> None:
    assert "auth_timestamp" in refusal(EVENTS, now=NOW + seconds)


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "now",
        "-1700000000",
        "1700000000.5",
        "1e9",
        " 1700000000",
        "\u0661\u0667\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660",
        "²",
        "9" * 5000,
    ],
)
def test_a_timestamp_is_a_number_of_seconds(timestamp: str) -> None:
    assert "auth_timestamp is not a Unix time" in refusal(having(EVENTS, "auth_timestamp", timestamp))


@pytest.mark.parametrize(
    "again",
    [("info", "user_count"), ("INFO", "user_count"), ("auth_key", CREDENTIALS.key), ("Auth_Signature", "x")],
)
def test_a_parameter_may_not_come_twice(again: tuple[str, str]) -> None:
    assert "twice" in refusal(CHANNELS._replace(query=[*CHANNELS.query, again]))


def test_the_names_of_parameters_may_be_in_any_case() -> None:
    check(EVENTS._replace(query=[(key.upper(), value) for key, value in EVENTS.query]))


# A user id in the path: SDKs sign it as it is, HTTP clients percent-encode it


@pytest.mark.parametrize("user_id", ["ann@example.com", "a b", "Zoë", "a/b", "100%", "a%20b"])
def test_the_path_may_be_signed_before_it_was_percent_encoded(user_id: str) -> None:
    plain = signed("POST", f"/apps/3/users/{user_id}/terminate_connections")
    encoded = user_id.replace("%", "%25").replace(" ", "%20").replace("ë", "%C3%AB").replace("@", "%40")

    check(plain._replace(path=f"/apps/3/users/{encoded.replace('/', '%2F')}/terminate_connections"))


def test_the_path_may_be_signed_as_it_is_on_the_wire() -> None:
    check(signed("POST", "/apps/3/users/ann%40example.com/terminate_connections"))


def test_no_refusal_tells_the_secret_or_the_signature_it_expects() -> None:
    bad = having(EVENTS, "auth_signature", "0" * 64)

    message = refusal(bad)

    assert CREDENTIALS.secret not in message
    assert signature_of(EVENTS) not in message

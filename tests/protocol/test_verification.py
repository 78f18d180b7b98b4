from __future__ import annotations

import json

import pytest

from broadcaster.errors import ProtocolViolation
from broadcaster.protocol.app import App
from broadcaster.protocol.commands import SignIn, Subscribe
from broadcaster.protocol.connection import Connection, User
from broadcaster.protocol.tally import Tally
from broadcaster.protocol.verification import SubscriptionRefused, Verifier
from broadcaster.signing import Credentials

from .conversation import APP, CREDENTIALS, Conversation, channel_auth

KEY = CREDENTIALS.key
VERIFIER = Verifier(APP, Tally())


def connection(socket_id: str = "1234.1234", *, user: User | None = None) -> Connection:
    peer = Conversation().connects(socket_id).connection
    peer.user = user
    return peer


def admit(
    channel: str, auth: str, channel_data: str | None = None, *, user: User | None = None
) -> User | None:
    return VERIFIER.admit(connection(user=user), Subscribe(channel, auth, channel_data))


def refusal(
    channel: str, auth: str, channel_data: str | None = None, *, user: User | None = None
) -> SubscriptionRefused:
    with pytest.raises(SubscriptionRefused) as caught:
        admit(channel, auth, channel_data, user=user)
    return caught.value


def auth_for(channel: str, channel_data: str | None = None, *, socket_id: str = "1234.1234") -> str:
    return CREDENTIALS.channel_auth(socket_id, channel, channel_data)


@pytest.mark.parametrize(
    ("channel", "signature"),
    [
        ("private-foobar", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        ("private-cache-foobar", "395f4a03f06e17b74af8d9c58386cf386e70176f58452420f042b6e1bddefa43"),
        ("private-encrypted-foobar", "e6a18892d037c5d5e76a2265df4f086ffc38631605530dfd214aa5bff495f533"),
    ],
)
def test_a_private_channel_takes_its_published_signature(channel: str, signature: str) -> None:
    assert admit(channel, f"{KEY}:{signature}") is None


@pytest.mark.parametrize(
    ("channel", "channel_data", "signature"),
    [
        (
            "presence-foobar",
            '{"user_id":10,"user_info":{"name":"Mr. Channels"}}',
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
        (
            "presence-foobar",
            '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}',
            "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
        ),
        (
            "presence-foobar",
            '{"user_id":"10","user_info":{"name":"Mr. Channels"}}',
            "4c6d8fc42a207ba96a0779844171b0bb819d96ffceef9609f5cce596ab17a800",
        ),
        (
            "presence-foobar",
            '{"user_id": 10, "user_info": {"name": "Mr. Channels"}}',
            "5b8808f3035fec2e4157c6b430a06d5b0de16d174e1a779e0e2b64d9983bde27",
        ),
        (
            "presence-foobar",
            '{"user_id":"10"}',
            "f84515574e2196bb5d8554cc21e73bead300b66128c7d8c496723cb729a209c8",
        ),
        (
            "presence-cache-foobar",
            '{"user_id":"10"}',
            "01d6b8ce6a668891d3ded2167ec0da3f4d90f5d6fb8f20ad4c1e7fdfebd1e976",
        ),
        (
            "presence-foobar",
            '{"user_id":"10","user_info":{"name":"Zoë"}}',
            "01929b58470549b26feda16bd5c83f392f22e023661d24e836df880b63d23e0b",
        ),
        (
            "presence-foobar",
            '{"user_id":"10","user_info":{"name":"Zo\\u00eb"}}',
            "52ac5e42c00816c320ab6ed7246fd3f0f4799dadff8fce94b593c8fab71401f2",
        ),
    ],
    ids=["integer", "the docs' own", "string", "spaces", "no info", "cache", "utf-8", "escaped"],
)
def test_a_presence_channel_takes_its_published_signature(
    channel: str, channel_data: str, signature: str
) -> None:
    info = json.loads(channel_data).get("user_info", {})

    assert admit(channel, f"{KEY}:{signature}", channel_data) == User("10", info)


def test_the_pair_that_the_docs_print_with_another_name_is_refused() -> None:
    auth = f"{KEY}:afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"

    assert (
        refusal("presence-foobar", auth, '{"user_id":10,"user_info":{"name":"Mr. Channels"}}').status == 401
    )


@pytest.mark.parametrize(
    ("key", "secret", "socket_id", "channel", "channel_data", "signature"),
    [
        (
            "foo",
            "bar",
            "345.23",
            "private-channel",
            None,
            "89955e77e1b40e33df6d515a5ecbba86a01dc816a5b720da18a06fd26f7d92ff",
        ),
        (
            "foo",
            "bar",
            "345.43245",
            "presence-channel",
            '{"user_id":"fred","user_info":{"key":"value"}}',
            "e80ba6439492c2113022c39297a87a948de14061cc67b5788e045645a68b8ccd",
        ),
        (
            "foo",
            "bar",
            "345.23",
            "private-encrypted-channel",
            None,
            "fff0503dfe4929f5162efe4d1dacbce524b0d8e7e1331117a8651c0e74d369e3",
        ),
    ],
)
def test_the_signatures_in_the_sdks_own_tests_are_taken(
    key: str, secret: str, socket_id: str, channel: str, channel_data: str | None, signature: str
) -> None:
    verifier = Verifier(App("1", key, secret), Tally())

    member = verifier.admit(connection(socket_id), Subscribe(channel, f"{key}:{signature}", channel_data))

    assert (member is None) == (channel_data is None)


SPELLINGS = [
    '{"user_id":"10","user_info":{"name":"Ann"}}',
    '{"user_id": "10", "user_info": {"name": "Ann"}}',
    '{"user_info":{"name":"Ann"},"user_id":"10"}',
    '{"user_id":"10","user_info":{"name":"\\u0041nn"}}',
    '\n{ "user_id" : "10" ,\t"user_info" : {"name":"Ann"} } ',
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_any_spelling_of_channel_data_may_be_signed(spelling: str) -> None:
    assert admit("presence-a", auth_for("presence-a", spelling), spelling) == User("10", {"name": "Ann"})


@pytest.mark.parametrize("spelling", SPELLINGS[1:])
def test_a_signature_is_for_one_spelling_only(spelling: str) -> None:
    assert refusal("presence-a", auth_for("presence-a", SPELLINGS[0]), spelling).status == 401


def test_channel_data_outside_of_presence_is_neither_signed_nor_read() -> None:
    assert admit("private-a", auth_for("private-a"), '{"user_id":"1"}') is None
    assert refusal("private-a", auth_for("private-a", '{"user_id":"1"}'), '{"user_id":"1"}').status == 401


def test_an_escaped_slash_is_not_a_plain_one() -> None:
    escaped, plain = '{"user_id":"a\\/b"}', '{"user_id":"a/b"}'

    assert admit("presence-a", auth_for("presence-a", escaped), escaped) == User("a/b", {})
    assert refusal("presence-a", auth_for("presence-a", plain), escaped).status == 401


def bad_auths() -> dict[str, str]:
    good = auth_for("private-a")
    signature = good.partition(":")[2]
    return {
        "empty": "",
        "no colon": signature,
        "only the key": f"{KEY}:",
        "only the signature": f":{signature}",
        "another key": f"other-key:{signature}",
        "another secret": Credentials(KEY, "other-secret").channel_auth("1234.1234", "private-a"),
        "another socket": auth_for("private-a", socket_id="1234.1235"),
        "another channel": auth_for("private-b"),
        "with channel_data": auth_for("private-a", '{"user_id":"1"}'),
        "of a user": CREDENTIALS.user_auth("1234.1234", "private-a"),
        "upper case": f"{KEY}:{signature.upper()}",
        "one digit off": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "one digit short": good[:-1],
        "one digit long": good + "0",
        "a newline": good + "\n",
        "a space": f"{KEY}: {signature}",
        "two colons": f"{KEY}::{signature}",
        "other digits": KEY + ":" + "\u0660" * 64,
        "not ASCII": f"{KEY}:{'é' * 64}",
        "NUL": f"{KEY}:{signature}\x00",
        "surrogate": f"{KEY}:\ud800",
    }


@pytest.mark.parametrize("auth", bad_auths().values(), ids=bad_auths())
@pytest.mark.parametrize("channel", ["private-a", "private-encrypted-a", "private-cache-a", "presence-a"])
def test_any_other_auth_is_refused(channel: str, auth: str) -> None:
    error = refusal(channel, auth.replace("private-a", channel), '{"user_id":"2"}')

    assert (error.kind, error.status) == ("AuthError", 401)


def test_a_refusal_does_not_tell_what_would_have_been_right() -> None:
    error = refusal("private-a", f"{KEY}:{'0' * 64}")

    assert auth_for("private-a").partition(":")[2] not in error.message
    assert CREDENTIALS.secret not in error.message


@pytest.mark.parametrize(
    "channel", ["orders", "cache-orders", "Private-a", "privateer", "my-private-a", "presence"]
)
def test_a_public_channel_asks_for_no_signature(channel: str) -> None:
    assert admit(channel, "") is None
    assert admit(channel, "whatever", "whatever") is None


@pytest.mark.parametrize(
    ("user_id", "becomes"),
    [('"10"', "10"), ("10", "10"), ("0", "0"), ("-7", "-7"), ('"Zo\\u00eb"', "Zoë"), ('" "', " ")],
)
def test_a_user_id_becomes_a_string(user_id: str, becomes: str) -> None:
    channel_data = f'{{"user_id":{user_id}}}'

    assert admit("presence-a", auth_for("presence-a", channel_data), channel_data) == User(becomes, {})


@pytest.mark.parametrize("user_info", ["null", "{}"])
def test_empty_info_is_an_object(user_info: str) -> None:
    channel_data = f'{{"user_id":"1","user_info":{user_info}}}'

    assert admit("presence-a", auth_for("presence-a", channel_data), channel_data) == User("1", {})


@pytest.mark.parametrize("user_info", ["[]", '"Ann"', "0", "false", '{"a":{},"b":[]}', '{"_a":{"_b":1}}'])
def test_info_may_be_any_json(user_info: str) -> None:
    channel_data = f'{{"user_id":"1","user_info":{user_info}}}'

    member = admit("presence-a", auth_for("presence-a", channel_data), channel_data)

    assert member == User("1", json.loads(user_info))


@pytest.mark.parametrize(
    "channel_data",
    [
        "",
        "Ann",
        "{",
        "null",
        "10",
        '"10"',
        "[]",
        '["user_id"]',
        "{}",
        '{"user_info":{}}',
        '{"user_id":""}',
        '{"user_id":null}',
        '{"user_id":true}',
        '{"user_id":false}',
        '{"user_id":1.5}',
        '{"user_id":1e999}',
        '{"user_id":NaN}',
        '{"user_id":["1"]}',
        '{"user_id":{"id":"1"}}',
        '{"id":"1"}',
        '{"user_id":"\\ud800"}',
        '{"user_id":"1","user_info":"\\udfff"}',
        '{"user_id":"1","user_info":1e999}',
        '{"user_id":"1","user_info":{"deep":[-1e400]}}',
        '{"user_id":"1","user_info":NaN}',
        '{"user_id":"1","user_info":' + "[" * 5000 + "]" * 5000 + "}",
        '{"user_id":' + "9" * 5000 + "}",
    ],
)
def test_signed_data_that_describes_no_member_is_malformed(channel_data: str) -> None:
    error = refusal("presence-a", auth_for("presence-a", channel_data), channel_data)

    assert (error.kind, error.status) == ("AuthError", 400)


@pytest.mark.parametrize("depth", range(190, 203))
@pytest.mark.parametrize("word", ["NaN", "Ann"])
def test_deep_info_is_refused_or_fits_into_a_frame(depth: int, word: str) -> None:
    conversation = Conversation()
    channel_data = f'{{"user_id":"1","user_info":{"[" * depth}"{word}"{"]" * depth}}}'

    (answer,) = conversation.silence([conversation.connects()])[0].subscribes(
        "presence-a", channel_data=channel_data
    )

    assert answer["event"] in {"pusher:subscription_error", "pusher_internal:subscription_succeeded"}


@pytest.mark.parametrize(
    ("channel_data", "message"),
    [
        ({"user_id": "x" * 129}, "The user_id is longer than 128 characters"),
        ({"user_id": 10**200}, "The user_id is longer than 128 characters"),
        ({"user_id": "1", "user_info": "x" * 1023}, "The user_info is larger than 1024 bytes"),
        ({"user_id": "1", "user_info": "é" * 512}, "The user_info is larger than 1024 bytes"),
    ],
)
def test_a_member_has_a_limited_size(channel_data: object, message: str) -> None:
    text = json.dumps(channel_data)

    error = refusal("presence-a", auth_for("presence-a", text), text)

    assert (error.kind, error.status, error.message) == ("LimitReached", 4301, message)


@pytest.mark.parametrize(
    "channel_data",
    [
        {"user_id": "x" * 128},
        {"user_id": "é" * 128},
        {"user_id": "1", "user_info": "x" * 1022},
        {"user_id": "1", "user_info": "é" * 511},
    ],
)
def test_a_member_may_be_as_large_as_the_limit(channel_data: object) -> None:
    text = json.dumps(channel_data)

    assert admit("presence-a", auth_for("presence-a", text), text) is not None


ANN = User("ann", {"name": "Ann"})


def test_a_signed_in_user_may_join_without_channel_data() -> None:
    assert admit("presence-a", auth_for("presence-a"), user=ANN) == ANN


def test_channel_data_goes_before_the_sign_in() -> None:
    channel_data = '{"user_id":"bob"}'

    assert admit("presence-a", auth_for("presence-a", channel_data), channel_data, user=ANN) == User(
        "bob", {}
    )


def test_empty_channel_data_is_not_absent() -> None:
    assert refusal("presence-a", auth_for("presence-a", ""), "", user=ANN).status == 400


def test_without_channel_data_and_sign_in_nobody_joins() -> None:
    error = refusal("presence-a", auth_for("presence-a"))

    assert (error.kind, error.status) == ("AuthError", 400)


def test_a_signature_over_channel_data_does_not_hold_without_it() -> None:
    assert refusal("presence-a", auth_for("presence-a", '{"user_id":"bob"}'), user=ANN).status == 401


def test_the_limits_hold_for_a_signed_in_user_too() -> None:
    error = refusal("presence-a", auth_for("presence-a"), user=User("x" * 129, None))

    assert error.kind == "LimitReached"


def test_a_user_may_join_its_own_channel_without_a_signature() -> None:
    assert admit("#server-to-user-ann", "", user=ANN) is None


@pytest.mark.parametrize("user", [None, User("bob", None), User("an", None), User("ann2", None)])
@pytest.mark.parametrize("auth", ["", CREDENTIALS.channel_auth("1234.1234", "#server-to-user-ann")])
def test_nobody_else_may_join_the_channel_of_a_user(user: User | None, auth: str) -> None:
    error = refusal("#server-to-user-ann", auth, user=user)

    assert (error.kind, error.status) == ("AuthError", 401)


@pytest.mark.parametrize(
    ("user_data", "signature", "user"),
    [
        (
            '{"id":"12345"}',
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
            User("12345", None),
        ),
        (
            '{"id": "12345"}',
            "d06dc389319077f890321aeac54e04868921e1601686928f61fc9bf702e92830",
            User("12345", None),
        ),
        (
            '{"id":"12345","user_info":{"name":"Ann"},"watchlist":["a","b"]}',
            "b72aa402fbdcaaa961bf8f912b3193d17abe090852057b45a55f40606ac6e550",
            User("12345", {"name": "Ann"}, ("a", "b")),
        ),
    ],
)
def test_a_sign_in_takes_its_published_signature(user_data: str, signature: str, user: User) -> None:
    assert VERIFIER.user(connection(), SignIn(f"{KEY}:{signature}", user_data)) == user


@pytest.mark.parametrize(
    ("user_data", "signature"),
    [
        ('{"id":"123"}', "fc713f433deb729d0d96f9e26ef054285cbc3e833ebe840b93722a2fa16a6a18"),
        (
            '{"id":"123","name":"John Smith"}',
            "0dddb208b53c7649f3fbbb86254a6e1986bc6f8b566423ea690c9ca773497373",
        ),
    ],
)
def test_the_sign_ins_in_the_sdks_own_tests_are_taken(user_data: str, signature: str) -> None:
    verifier = Verifier(App("1", "thisisaauthkey", "thisisasecret"), Tally())

    user = verifier.user(connection("12345.6789"), SignIn(f"thisisaauthkey:{signature}", user_data))

    assert user == User("123", None)


@pytest.mark.parametrize(
    "auth",
    [
        "",
        f"{KEY}:",
        CREDENTIALS.user_auth("1234.1235", '{"id":"1"}'),
        CREDENTIALS.user_auth("1234.1234", '{"id":"2"}'),
        CREDENTIALS.user_auth("1234.1234", '{"id": "1"}'),
        channel_auth("1234.1234", '{"id":"1"}'),
        CREDENTIALS.user_auth("1234.1234", '{"id":"1"}').upper(),
        Credentials("other", CREDENTIALS.secret).user_auth("1234.1234", '{"id":"1"}'),
        Credentials(KEY, "other").user_auth("1234.1234", '{"id":"1"}'),
    ],
)
def test_a_sign_in_with_any_other_auth_fails(auth: str) -> None:
    assert VERIFIER.user(connection(), SignIn(auth, '{"id":"1"}')) is None


@pytest.mark.parametrize(
    "user_data",
    [
        "",
        "{",
        "[]",
        "null",
        '"1"',
        "{}",
        '{"id":""}',
        '{"id":1}',
        '{"id":null}',
        '{"id":["1"]}',
        '{"id":"\\ud800"}',
    ],
)
def test_signed_data_without_an_id_that_pusher_js_takes_is_no_sign_in(user_data: str) -> None:
    peer = connection()

    with pytest.raises(ProtocolViolation, match="user_data needs an id"):
        VERIFIER.user(peer, SignIn(CREDENTIALS.user_auth("1234.1234", user_data), user_data))

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from broadcaster import InvalidChannelName, InvalidSocketId
from broadcaster.signing import Credentials, body_digest

# The vectors are Pusher's documentation's, or are asserted in the suites of its server SDKs, or equal the
# output of those SDKs for the same input; the few that are neither were computed by the documented rule.
A = Credentials("278d425bdf160c739803", "7ad3773142a6692b25b8")
PHP = Credentials("thisisaauthkey", "thisisasecret")
PY = Credentials("foo", "bar")
OBSCURE = Credentials("key", "secret")

EMPTY_DIGEST = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("credentials", "socket_id", "channel", "signature"),
    [
        (
            A,
            "1234.1234",
            "private-foobar",
            "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
        ),
        (
            A,
            "1234.1234",
            "private-cache-foobar",
            "395f4a03f06e17b74af8d9c58386cf386e70176f58452420f042b6e1bddefa43",
        ),
        (
            A,
            "1234.1234",
            "private-encrypted-foobar",
            "e6a18892d037c5d5e76a2265df4f086ffc38631605530dfd214aa5bff495f533",
        ),
        (PY, "345.23", "private-channel", "89955e77e1b40e33df6d515a5ecbba86a01dc816a5b720da18a06fd26f7d92ff"),
        (
            PY,
            "345.23",
            "private-encrypted-channel",
            "fff0503dfe4929f5162efe4d1dacbce524b0d8e7e1331117a8651c0e74d369e3",
        ),
        (
            PHP,
            "1.1",
            "testing_pusher-php",
            "751ccc12aeaa79d46f7c199bced5fa47527d3480b51fe61a0bd10438241bd52d",
        ),
        (
            PHP,
            "45055.28877557",
            "-azAZ9_=@,.;",
            "d1c20ad7684c172271f92c108e11b45aef07499b005796ae1ec5beb924f361c4",
        ),
    ],
)
def test_a_private_channel_is_signed_as_everybody_signs_it(
    credentials: Credentials, socket_id: str, channel: str, signature: str
) -> None:
    assert credentials.channel_auth(socket_id, channel) == f"{credentials.key}:{signature}"


@pytest.mark.parametrize(
    ("channel_data", "signature"),
    [
        (
            '{"user_id":10,"user_info":{"name":"Mr. Channels"}}',
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
        (
            '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}',
            "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
        ),
        (
            '{"user_id":"10","user_info":{"name":"Mr. Channels"}}',
            "4c6d8fc42a207ba96a0779844171b0bb819d96ffceef9609f5cce596ab17a800",
        ),
        (
            '{"user_id": 10, "user_info": {"name": "Mr. Channels"}}',
            "5b8808f3035fec2e4157c6b430a06d5b0de16d174e1a779e0e2b64d9983bde27",
        ),
        ('{"user_id":"10"}', "f84515574e2196bb5d8554cc21e73bead300b66128c7d8c496723cb729a209c8"),
        (
            '{"user_id":"10","user_info":{"name":"Zoë"}}',
            "01929b58470549b26feda16bd5c83f392f22e023661d24e836df880b63d23e0b",
        ),
        (
            r'{"user_id":"10","user_info":{"name":"Zo\u00eb"}}',
            "52ac5e42c00816c320ab6ed7246fd3f0f4799dadff8fce94b593c8fab71401f2",
        ),
    ],
)
def test_a_presence_channel_is_signed_over_the_members_json_byte_for_byte(
    channel_data: str, signature: str
) -> None:
    assert A.channel_auth("1234.1234", "presence-foobar", channel_data) == f"{A.key}:{signature}"


@pytest.mark.parametrize(
    ("credentials", "socket_id", "channel", "channel_data", "signature"),
    [
        (
            A,
            "1234.1234",
            "presence-cache-foobar",
            '{"user_id":"10"}',
            "01d6b8ce6a668891d3ded2167ec0da3f4d90f5d6fb8f20ad4c1e7fdfebd1e976",
        ),
        (
            PY,
            "345.43245",
            "presence-channel",
            '{"user_id":"fred","user_info":{"key":"value"}}',
            "e80ba6439492c2113022c39297a87a948de14061cc67b5788e045645a68b8ccd",
        ),
        (
            PHP,
            "45055.28877557",
            "-azAZ9_=@,.;",
            '{"user_id": "123"}',
            "3b3f1dcc4d7d2f95dd10ed05562397b3287b102d4cccfacbf30eed2f1ffa3d69",
        ),
    ],
)
def test_other_credentials_and_channels_sign_their_members_likewise(
    credentials: Credentials, socket_id: str, channel: str, channel_data: str, signature: str
) -> None:
    assert credentials.channel_auth(socket_id, channel, channel_data) == f"{credentials.key}:{signature}"


def test_the_pair_misprinted_in_pushers_documentation_is_not_what_we_sign() -> None:
    printed = "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"

    auth = A.channel_auth(
        "1234.1234", "presence-foobar", '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'
    )

    assert auth != f"{A.key}:{printed}"


def test_a_member_without_data_is_not_a_channel_without_members() -> None:
    assert A.channel_auth("1.1", "presence-foobar", "") != A.channel_auth("1.1", "presence-foobar")


@pytest.mark.parametrize(
    ("credentials", "socket_id", "user_data", "signature"),
    [
        (
            A,
            "1234.1234",
            '{"id":"12345"}',
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        ),
        (
            A,
            "1234.1234",
            '{"id": "12345"}',
            "d06dc389319077f890321aeac54e04868921e1601686928f61fc9bf702e92830",
        ),
        (
            A,
            "1234.1234",
            '{"id":"12345","user_info":{"name":"Ann"},"watchlist":["a","b"]}',
            "b72aa402fbdcaaa961bf8f912b3193d17abe090852057b45a55f40606ac6e550",
        ),
        (
            PHP,
            "12345.6789",
            '{"id":"123"}',
            "fc713f433deb729d0d96f9e26ef054285cbc3e833ebe840b93722a2fa16a6a18",
        ),
        (
            PHP,
            "12345.6789",
            '{"id":"123","name":"John Smith"}',
            "0dddb208b53c7649f3fbbb86254a6e1986bc6f8b566423ea690c9ca773497373",
        ),
    ],
)
def test_a_user_is_signed_as_everybody_signs_one(
    credentials: Credentials, socket_id: str, user_data: str, signature: str
) -> None:
    assert credentials.user_auth(socket_id, user_data) == f"{credentials.key}:{signature}"


def params(
    credentials: Credentials, timestamp: int, body: str | None = None, **more: str
) -> list[tuple[str, str]]:
    digest = {} if body is None else {"body_md5": body_digest(body.encode())}
    auth = {"auth_key": credentials.key, "auth_timestamp": str(timestamp), "auth_version": "1.0"}
    return [*auth.items(), *digest.items(), *more.items()]


V1 = '{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
V2 = (
    '{"channel":"my-channel","name":"my-event","data":"{\\"message\\":\\"hello\\"}",'
    '"socket_id":"1234.1234","info":"user_count,subscription_count"}'
)
V3 = (
    '{"name":"my-event","data":"{\\"message\\":\\"hello\\"}","channels":["my-channel"],'
    '"socket_id":"1234.1234","info":"user_count,subscription_count"}'
)
V4 = (
    '{"batch":[{"channel":"a","name":"e","data":"{}"},'
    '{"channel":"presence-b","name":"e","data":"{}","info":"user_count"}]}'
)
V12 = '{"name":"café","channel":"x","data":"☃"}'
V16 = '{"foo": "bar"}'
V17 = '{"name": "foo", "channels": ["project-3"], "data": "{\\"some\\":\\"data\\"}"}'

DIGESTS = {
    "V1": (V1, "ec365a775a4cd0599faeb73354201b6f"),
    "V2": (V2, "a51f0f07ee7c40f10431597e8d879e04"),
    "V3": (V3, "b95a872244b535f2f6974d1faacec184"),
    "V4": (V4, "16221173feb617042dd80677aa23e526"),
    "V9": ("{}", "99914b932bd37a50b983c5e7c90ae93b"),
    "V12": (V12, "634e4e6a017c217582814aa8260eca15"),
    "V13": ("", EMPTY_DIGEST),
    "V16": (V16, "94232c5b8fc9272f6f73a1e36eb68fcf"),
    "V17": (V17, "fc3b09a10b64bfbae6a3fe62247c2535"),
}

NOW = 1700000000
BOTH = "user_count,subscription_count"

REQUESTS = {
    "V1": (
        *(A, "POST", "/apps/3/events", params(A, 1353088179, V1)),
        "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
    ),
    "V2": (
        *(A, "POST", "/apps/3/events", params(A, NOW, V2)),
        "7d118502d844ab4fbb02709296f349ab74ffc74c50b2af1a1450fd450ecac8de",
    ),
    "V3": (
        *(A, "POST", "/apps/3/events", params(A, NOW, V3)),
        "fa0c091b4eacb6d064a64c7785e82b28213e48e522aba1b6d74b44ab51392d3b",
    ),
    "V4": (
        *(A, "POST", "/apps/3/batch_events", params(A, NOW, V4)),
        "1e7d01bad1afc362d7eab0d6b8d0f56a837efdbb21c21d035609fcbdd427518d",
    ),
    "V5": (
        *(A, "GET", "/apps/3/channels", params(A, NOW, filter_by_prefix="presence-", info="user_count")),
        "5142c71a4248ef5f3ec45e8793d8997773f1d19ce69ee6f6b1d75131d8aa0a6a",
    ),
    "V6": (
        *(A, "GET", "/apps/3/channels", params(A, NOW)),
        "4707afdd8f617b6c4cd52e889d9136a131f31f57e26ce815afd04af0b804c7d3",
    ),
    "V7": (
        *(A, "GET", "/apps/3/channels/presence-foobar", params(A, NOW, info=BOTH)),
        "117e082c7dff8537497b0f08dd31c0b8ee92e5c3bc2518238afed83c03e6966e",
    ),
    "V8": (
        *(A, "GET", "/apps/3/channels/presence-foobar/users", params(A, NOW)),
        "9e7cd451c60103a5a50ac29611500f874871a63a6c627727ac333981759139a1",
    ),
    "V9": (
        *(A, "POST", "/apps/3/users/user-1/terminate_connections", params(A, NOW, "{}")),
        "b4e152e8102620cc068aaf8ee159d3151ec468fa35e4b24355ea8c4e750a6908",
    ),
    "V10": (
        *(A, "POST", "/apps/3/users/user-1/terminate_connections", params(A, NOW)),
        "e69abac6468fe57d34b050b74455d68b4b81b146abf8641501551ea336689944",
    ),
    "V11": (
        *(A, "GET", "/apps/3/connections", params(A, NOW)),
        "e163ce08b07dc0654320dce9fda87500dcca6d3c8251ff3f22abb0b92cacbcc6",
    ),
    "V12": (
        *(A, "POST", "/apps/3/events", params(A, NOW, V12)),
        "2517ac5e1fb4393126c033162ed703021978bab4a2eae554945e00e55614d60a",
    ),
    "V13": (
        *(A, "GET", "/apps/3/channels", params(A, NOW, "")),
        "3eb4c48c77d10169b68e017bac77f4257862305d645b1e6b475f8da730c6f6de",
    ),
    "V14": (
        *(A, "GET", "/apps/3/channels", params(A, NOW, "", filter_by_prefix="presence-", info="user_count")),
        "3fc9da7cb4e6d626b1c5a1b1f0179acebb2b238818aab773b9aa682659ddfe10",
    ),
    "V15": (
        *(OBSCURE, "GET", "/some/obscure/api", params(OBSCURE, 1000, "", foo="bar")),
        "5c49f04a95eedc9028b1e0e8de7c2c7ad63504a0e3b5c145d2accaef6c14dbac",
    ),
    "V16": (
        *(OBSCURE, "POST", "/some/obscure/api", params(OBSCURE, 1000, V16)),
        "e05fa4cafee86311746ee3981d5581a5e4e87c27bbab0aeb1059e2df5c90258b",
    ),
    "V17": (
        *(A, "POST", "/apps/3/events", params(A, 1353088179, V17)),
        "6ca021b21608bbd9ab698da5cda6b718041fc48fd5a8018e2dd0255cf00b659e",
    ),
}


@pytest.mark.parametrize(("body", "digest"), DIGESTS.values(), ids=DIGESTS)
def test_a_body_has_the_digest_that_everybody_computes(body: str, digest: str) -> None:
    assert body_digest(body.encode()) == digest


@pytest.mark.parametrize(
    ("credentials", "method", "path", "query", "signature"), REQUESTS.values(), ids=REQUESTS
)
def test_an_api_request_is_signed_as_everybody_signs_it(
    credentials: Credentials, method: str, path: str, query: list[tuple[str, str]], signature: str
) -> None:
    assert credentials.request_signature(method, path, query) == signature


@pytest.mark.parametrize(
    ("credentials", "method", "path", "query", "signature"), REQUESTS.values(), ids=REQUESTS
)
def test_neither_the_order_nor_the_case_of_parameters_matters(
    credentials: Credentials, method: str, path: str, query: list[tuple[str, str]], signature: str
) -> None:
    shouted = [(name.upper(), value) for name, value in reversed(query)]

    assert credentials.request_signature(method.lower(), path, shouted) == signature


V7 = REQUESTS["V7"]


def test_values_are_signed_decoded() -> None:
    credentials, method, path, query, signature = V7
    encoded = [(name, value.replace(",", "%2C")) for name, value in query]

    assert credentials.request_signature(method, path, encoded) != signature


def test_another_method_has_another_signature() -> None:
    credentials, method, path, query, signature = V7

    assert method == "GET"
    assert credentials.request_signature("POST", path, query) != signature


def test_another_path_has_another_signature() -> None:
    credentials, method, _, query, signature = V7

    assert credentials.request_signature(method, "/apps/4/channels/presence-foobar", query) != signature


def test_one_more_parameter_has_another_signature() -> None:
    credentials, method, path, query, signature = V7

    assert credentials.request_signature(method, path, [*query, ("extra", "1")]) != signature


def test_another_application_has_another_signature() -> None:
    credentials, method, path, query, signature = V7
    other = replace(credentials, secret="another")

    assert other.request_signature(method, path, query) != signature


def test_one_byte_more_in_the_body_is_another_digest() -> None:
    assert body_digest(V1.encode() + b" ") != body_digest(V1.encode())


def test_a_secret_beyond_ascii_signs_by_its_utf_8_bytes() -> None:
    import hmac

    secret = "sécret☃"
    expected = hmac.new(secret.encode(), "1.1::user::ü".encode(), hashlib.sha256).hexdigest()

    assert Credentials("key", secret).user_auth("1.1", "ü") == f"key:{expected}"


def test_equal_signatures_match_and_others_do_not() -> None:
    signature = A.channel_auth("1234.1234", "private-foobar")

    assert Credentials.matches(signature, signature)
    assert not Credentials.matches(signature, signature[:-1])
    assert not Credentials.matches(signature, "")
    assert not Credentials.matches(signature, signature.replace("58df", "58dF"))


def test_an_upper_case_signature_does_not_match() -> None:
    key, signature = A.channel_auth("1234.1234", "private-foobar").split(":")

    assert not Credentials.matches(f"{key}:{signature}", f"{key}:{signature.upper()}")


@pytest.mark.parametrize("given", ["\ud800", "☃" * 64, "\x00"])
def test_a_signature_from_outside_may_hold_any_text(given: str) -> None:
    assert not Credentials.matches("58df8b0c", given)


def test_text_that_is_not_unicode_is_signed_without_an_error() -> None:
    assert A.user_auth("1.1", "\ud800").startswith(A.key)


def test_a_secret_is_not_shown() -> None:
    credentials = Credentials("the-key", "the-secret")

    shown = f"{credentials!r} {credentials} {[credentials]}"

    assert "the-key" in shown
    assert "the-secret" not in shown


@pytest.mark.parametrize(
    "socket_id", ["", "1", "1.", ".1", "1.1:", "1.1\n", "1.1::user", "a.b", "1.2::user:"]
)
def test_what_is_no_socket_id_is_not_signed(socket_id: str) -> None:
    with pytest.raises(InvalidSocketId, match="digits, a dot and digits are expected") as refused:
        A.channel_auth(socket_id, "private-a")
    with pytest.raises(InvalidSocketId):
        A.user_auth(socket_id, '{"id":"1"}')

    assert refused.value.socket_id == socket_id


@pytest.mark.parametrize("channel", ["", "private a", ":user:", "private-a\n", "private-a:extra"])
def test_what_is_no_channel_name_is_not_signed(channel: str) -> None:
    with pytest.raises(InvalidChannelName):
        A.channel_auth("1.1", channel)


@pytest.mark.parametrize("secret", ["", "s", "é" * 32, "x" * 64, "x" * 65, "x" * 1_000])
def test_a_secret_of_any_length_signs_as_rfc_2104_says(secret: str) -> None:
    credentials = Credentials("key", secret)

    twice = [credentials.body_signature(b"a body") for _ in range(2)]

    assert twice == [hmac.new(secret.encode(), b"a body", "sha256").hexdigest()] * 2

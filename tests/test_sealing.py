from __future__ import annotations

import json
from base64 import b64encode

import pytest

from broadcaster.encryption import shared_secret
from broadcaster.sealing import seal, unseal
from tests.programs import python

CHANNEL = "private-encrypted-foobar"
SECRET = shared_secret(bytes(range(32)), CHANNEL)


@pytest.mark.parametrize(
    ("secret", "nonce", "ciphertext", "data"),
    [
        (
            SECRET,
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            "cUvi6VQlRGyKCRRclUJdHUsGJzgoj596PYEg0Ekt7UbHsAQ=",
            '{"message":"hello"}',
        ),
    ],
)
def test_what_other_libraries_sealed_is_opened(secret: str, nonce: str, ciphertext: str, data: str) -> None:
    assert unseal(secret, {"nonce": nonce, "ciphertext": ciphertext}) == data


def test_what_is_sealed_is_fresh_every_time_and_opens_again() -> None:
    one, other = (json.loads(seal(SECRET, '{"text":"\u2603"}')) for _ in range(2))

    assert list(one) == ["nonce", "ciphertext"]
    assert one["nonce"] != other["nonce"]
    assert unseal(SECRET, one) == unseal(SECRET, other) == '{"text":"\u2603"}'


@pytest.mark.parametrize(
    "sealed",
    [
        {"nonce": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "ciphertext": b64encode(bytes(35)).decode()},
        {"nonce": "AAEC", "ciphertext": "cUvi6VQlRGyKCRRclUJdHUsGJzgoj596PYEg0Ekt7UbHsAQ="},
        {"nonce": "!", "ciphertext": "!"},
        {"nonce": 1, "ciphertext": "cUvi"},
        {"text": "in the clear"},
        "text",
        None,
    ],
)
def test_anything_else_is_not_opened(sealed: object) -> None:
    with pytest.raises(ValueError, match="sealed"):
        unseal(SECRET, sealed)


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "from broadcaster import MissingExtra\n"
        "try: import broadcaster.sealing\n"
        "except MissingExtra as error: print(error)\n"
    )

    assert "pip install 'broadcaster-kit[encrypted]'" in python(program, without="nacl")

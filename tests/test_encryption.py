"""Keys of encrypted channels; the vectors were computed with Pusher's own SDKs for Python and Node."""

from __future__ import annotations

import base64

import pytest

from broadcaster import ConfigurationError
from broadcaster.encryption import master_key, shared_secret

ENCODED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_a_master_key_is_32_bytes_in_base64() -> None:
    assert master_key(ENCODED) == bytes(range(32))


def test_none_is_no_key() -> None:
    assert master_key(None) is None


@pytest.mark.parametrize(
    "key", ["the-key", *(base64.b64encode(b"x" * n).decode() for n in (31, 33)), ENCODED + "\n", "☃", ""]
)
def test_a_malformed_key_is_told_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        master_key(key)

    assert str(caught.value).startswith("PUSHER_ENCRYPTION_MASTER_KEY must be 32 bytes in Base64")
    assert not key or key not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("key", "channel", "secret"),
    [
        (bytes(range(32)), "private-encrypted-foobar", "g3Au6SZ+UCU+IMfFsFva0rq+Gi4tzSHR6WCcWZbS9sY="),
        (
            base64.b64decode("OHRXNUZRTG5pUTFzQlFGd3J3N3Q2VFZFc0paZDEweVk="),
            "private-encrypted-channel",
            "VmIsNZtCSteh8kazd2toc+ofhohBtUouQRSDtRvuyVI=",
        ),
        (
            b"OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
            "pvUPIk0YG6MnxCEMIUUVFrbDmQwbhICXUcy",
            base64.b64encode(
                bytes.fromhex("709ef3090a24bfa98382cb5d025ca3622c82d31fa27f10b005c0dca27bae6516")
            ).decode(),
        ),
    ],
)
def test_what_the_members_of_a_channel_share(key: bytes, channel: str, secret: str) -> None:
    assert shared_secret(key, channel) == secret

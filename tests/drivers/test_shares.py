from __future__ import annotations

import json

import pytest

from broadcaster import DeliveryError, Message
from broadcaster.drivers.shares import shares
from broadcaster.encryption import shared_secret
from broadcaster.sealing import unseal

KEY = bytes(range(32))
X, Y = "private-encrypted-x", "private-encrypted-y"


def test_a_message_without_encrypted_channels_goes_as_it_is() -> None:
    message = Message("ping", ("a", "b"), "{}")

    assert shares(message, KEY, driver="pusher") == [message]


def test_each_encrypted_channel_has_a_share_that_only_it_can_read() -> None:
    message = Message("ping", (X, "a", Y, "b", X), '{"n":1}', except_socket="1.2")

    plain, *sealed = shares(message, KEY, driver="pusher")

    assert (plain.channels, plain.data) == (("a", "b"), '{"n":1}')
    assert [share.channels for share in sealed] == [(X,), (Y,)]
    for share, channel in zip(sealed, [X, Y], strict=True):
        assert unseal(shared_secret(KEY, channel), json.loads(share.data)) == '{"n":1}'
        assert (share.name, share.except_socket, share.id) == ("ping", "1.2", message.id)


def test_a_message_for_encrypted_channels_alone_has_no_plain_share() -> None:
    assert [share.channels for share in shares(Message("ping", (X,), "{}"), KEY, driver="pusher")] == [(X,)]


def test_without_a_key_nothing_goes_out() -> None:
    with pytest.raises(DeliveryError, match="no key to encrypt for 'private-encrypted-x'") as caught:
        shares(Message("ping", ("a", X), "{}"), None, driver="local")

    assert not caught.value.retryable

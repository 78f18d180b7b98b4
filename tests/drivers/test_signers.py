"""What signs for each kind of server, and which of them a manager takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broadcaster import BroadcastManager, Forbidden, Grant, InvalidSocketId, Member, SignIn
from broadcaster.drivers.base import Driver
from broadcaster.drivers.null import NullDriver
from broadcaster.drivers.signers import AblySigner, EchoServerSigner, NoSigner, PusherSigner, Signer
from broadcaster.server import App, AsgiServer, ServerThread
from broadcaster.signing import Credentials

ABLY = Credentials("appid.keyid", "secret")
MEMBER = Member(42, {"a": "b", "c": "d"})
PUSHER = {"app_id": "1", "key": "app-key", "secret": "app-secret"}


def test_ably_signs_for_clients_whose_ids_have_another_shape() -> None:
    signer = AblySigner(ABLY)
    signer.check("abcd.1234")

    assert signer.channel("abcd.1234", Grant("private-test")) == {
        "auth": f"appid.keyid:{ABLY.signature('abcd.1234:private-test')}"
    }
    data = '{"user_id":"42","user_info":{"a":"b","c":"d"}}'
    assert signer.channel("abcd.1234", Grant("presence-test", MEMBER)) == {
        "auth": f"appid.keyid:{ABLY.signature(f'abcd.1234:presence-test:{data}')}",
        "channel_data": data,
    }


def test_laravel_echo_server_takes_the_applications_word() -> None:
    signer = EchoServerSigner()
    signer.check("")

    assert signer.channel("", Grant("private-test")) is True
    assert signer.channel("", Grant("presence-test", MEMBER)) == {
        "channel_data": {"user_id": "42", "user_info": {"a": "b", "c": "d"}}
    }


def test_where_nobody_listens_nothing_is_signed() -> None:
    signer = NoSigner()

    assert signer.channel("1.2", Grant("private-test")) == {"auth": ""}
    assert signer.channel("1.2", Grant("presence-test", Member(7))) == {
        "auth": "",
        "channel_data": '{"user_id":"7"}',
    }
    assert signer.user("1.2", SignIn(7)) == {"auth": "", "user_data": '{"id":"7"}'}


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        (AblySigner(ABLY), "driver 'ably' cannot encrypt"),
        (EchoServerSigner(), "driver 'redis' cannot encrypt"),
        (PusherSigner(ABLY), "there is no key to encrypt with: set PUSHER_ENCRYPTION_MASTER_KEY"),
    ],
)
def test_who_cannot_encrypt_refuses_an_encrypted_channel(signer: Signer, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        signer.channel("1.2", Grant("private-encrypted-test"))


@pytest.mark.parametrize("signer", [AblySigner(ABLY), EchoServerSigner()])
def test_a_server_that_knows_no_users_signs_nobody_in(signer: Signer) -> None:
    with pytest.raises(Forbidden, match="knows no signing in"):
        signer.user("1.2", SignIn(7))


@pytest.mark.parametrize("signer", [AblySigner(ABLY), EchoServerSigner(), NoSigner(), PusherSigner(ABLY)])
@pytest.mark.parametrize("socket_id", ["1.2:private-x", "1.2\n", "a b", "x" * 513])
def test_no_signer_takes_what_could_be_read_in_two_ways(signer: Signer, socket_id: str) -> None:
    with pytest.raises(InvalidSocketId):
        signer.check(socket_id)


def test_a_secret_is_not_shown() -> None:
    assert "hidden" not in repr(PusherSigner(Credentials("key", "hidden"), b"hidden"))


# Which one a manager takes.


def answer_by(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Any:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    broadcast = BroadcastManager.from_env()
    broadcast.channel("room")(lambda user: True)
    return broadcast.authorize("ann", "private-room", socket_id="1.2")


SIGNED = {"auth": Credentials("app-key", "app-secret").channel_auth("1.2", "private-room")}
OF_PUSHER = {f"PUSHER_APP_{name}": f"app-{name.lower()}" for name in ("ID", "KEY", "SECRET")}


def test_the_driver_of_the_server_that_browsers_connect_to_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer_by(monkeypatch, BROADCAST_DRIVER="pusher", **OF_PUSHER) == SIGNED


def test_ably_signs_although_there_are_variables_of_pusher(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = answer_by(monkeypatch, BROADCAST_DRIVER="ably", ABLY_KEY="appid.keyid:secret", **OF_PUSHER)

    assert answer["auth"].startswith("appid.keyid:")


@pytest.mark.parametrize("driver", ["redis", "log", "null"])
def test_a_driver_without_such_a_server_leaves_it_to_the_variables_of_pusher(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer_by(monkeypatch, BROADCAST_DRIVER=driver, **OF_PUSHER) == SIGNED


@pytest.mark.parametrize(
    ("driver", "answer"), [("redis", True), ("log", {"auth": ""}), ("null", {"auth": ""})]
)
def test_without_those_variables_a_driver_answers_as_it_can(
    driver: str, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer_by(monkeypatch, BROADCAST_DRIVER=driver) == answer


@pytest.mark.parametrize("group", ["stack", "failover"])
def test_a_group_signs_with_the_first_driver_that_can(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"BROADCAST_DRIVER": group, f"BROADCAST_{group.upper()}": "log,pusher"}

    assert answer_by(monkeypatch, **variables, **OF_PUSHER) == SIGNED


def test_a_driver_of_ones_own_may_sign() -> None:
    class Own(NullDriver):
        @property
        def signer(self) -> Signer:
            return PusherSigner(Credentials("own", "secret"))

    broadcast = BroadcastManager.from_dict({"driver": "own"})
    broadcast.extend("own", Own)
    broadcast.channel("room")(lambda user: True)

    assert broadcast.authorize("ann", "private-room", socket_id="1.2")["auth"].startswith("own:")


@pytest.mark.parametrize("embed", [lambda apps: ServerThread(apps, port=0), AsgiServer])
def test_a_server_in_the_same_process_signs_for_itself(embed: Callable[[list[App]], Any]) -> None:
    server = embed([App("1", "app-key", "app-secret"), App("2", "other", "secret")])
    broadcast = BroadcastManager.from_dict({"driver": "local"}, server=server)
    broadcast.channel("room")(lambda user: True)

    assert broadcast.authorize("ann", "private-room", socket_id="1.2") == SIGNED


def test_most_drivers_sign_nothing() -> None:
    driver: Driver = NullDriver()

    assert driver.signer is None

from __future__ import annotations

import json

import pytest

from broadcaster.protocol import frames
from broadcaster.protocol.handshake import Refusal, unknown_app, unsupported_protocol


@pytest.mark.parametrize("protocol", ["5", "6", "7"])
def test_the_protocols_that_clients_speak_are_accepted(protocol: str) -> None:
    assert unsupported_protocol({"protocol": protocol, "client": "java-client", "version": "2.4.4"}) is None


def test_unknown_parameters_do_not_matter() -> None:
    assert unsupported_protocol({"protocol": "7", "flash": "false", "version": "?", "x": ""}) is None


@pytest.mark.parametrize("params", [{}, {"protocol": ""}, {"version": "8.6.0"}])
def test_a_missing_protocol_is_4008(params: dict[str, str]) -> None:
    refusal = unsupported_protocol(params)

    assert refusal is not None
    assert refusal.code == 4008


@pytest.mark.parametrize("protocol", ["1", "3", "8", "07", "7.0", "-7", "seven", " 7", "\u0667", "7\x00"])
def test_any_other_protocol_is_4007(protocol: str) -> None:
    refusal = unsupported_protocol({"protocol": protocol})

    assert refusal is not None
    assert refusal.code == 4007


def test_an_unknown_key_is_4001() -> None:
    refusal = unknown_app("no-such-key")

    assert refusal.code == 4001
    assert "'no-such-key'" in refusal.message


@pytest.mark.parametrize(
    "refusal",
    [unknown_app("x" * 5000), unsupported_protocol({}), unsupported_protocol({"protocol": "\x00" * 5000})],
)
def test_a_refusal_never_has_a_code_that_makes_pusher_js_loop_or_hang(refusal: Refusal) -> None:
    data = json.loads(frames.error(refusal.code, refusal.message))["data"]

    assert type(data["code"]) is int
    assert 4000 <= data["code"] < 4200


@pytest.mark.parametrize("refusal", [unknown_app("x" * 5000), unsupported_protocol({"protocol": "8" * 5000})])
def test_what_a_client_asked_for_is_repeated_in_part_only(refusal: Refusal) -> None:
    assert len(refusal.message) < 200

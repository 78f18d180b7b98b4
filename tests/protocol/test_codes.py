from __future__ import annotations

from broadcaster.protocol.codes import Code


def test_the_numbers_are_those_of_the_protocol() -> None:
    assert {code.name: code.value for code in Code} == {
        "UNKNOWN_APP": 4001,
        "APP_DISABLED": 4003,
        "OVER_QUOTA": 4004,
        "UNSUPPORTED_PROTOCOL": 4007,
        "NO_PROTOCOL": 4008,
        "UNAUTHORIZED": 4009,
        "BACK_OFF": 4100,
        "RECONNECT": 4200,
        "NO_PONG": 4201,
        "CLIENT_EVENT_REJECTED": 4301,
        "WATCHLIST_TOO_LONG": 4302,
    }

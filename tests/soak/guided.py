"""Coverage-guided nonsense for the hub and the HTTP API, by atheris; the first that raises ends it.

Run `python -m tests.soak.guided -atheris_runs=1000000`.
"""

from __future__ import annotations

import json
import sys
import time

import atheris

with atheris.instrument_imports(include=["broadcaster"]):
    from broadcaster.protocol.api import ApiRequest, ApiResponse, answer
    from broadcaster.protocol.app import App
    from broadcaster.protocol.connection import Connection
    from broadcaster.protocol.hub import Hub

from broadcaster.signing import Credentials, body_digest

_APP = App("1", "key", "secret", subscription_counts=True, history=("*",))
_CREDENTIALS = Credentials(_APP.key, _APP.secret)


class _Wire:
    deflated = False

    def write(self, payload: object) -> None:
        pass

    def probe(self) -> None:
        pass

    def hang_up(self, code: int, reason: str) -> None:
        pass


def one(data: bytes) -> None:
    """Let a client say the lines of *data*, and an application post the last of them, signed."""
    hub = Hub(_APP)
    connection = Connection("1.2", _Wire())
    hub.connected(connection, 0.0)
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        for effect in hub.received(connection, line.decode("utf-8", "replace"), float(number)):
            if (text := getattr(effect, "text", None)) is not None:
                json.loads(text)
    body = lines[-1]
    for path in ("/apps/1/events", "/apps/1/batch_events"):
        now = time.time()
        params = [("auth_key", "key"), ("auth_timestamp", str(int(now))), ("auth_version", "1.0")]
        params.append(("body_md5", body_digest(body)))
        params.append(("auth_signature", _CREDENTIALS.request_signature("POST", path, params)))
        response = answer(hub, ApiRequest("POST", path, params, body), now=now)
        assert isinstance(response, ApiResponse)
        assert response.status < 500, response
    hub.tick(1e6)
    hub.disconnected(connection)
    assert not hub.channels
    assert not hub.connections


def main() -> None:
    """Start from what clients say."""
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""What every test stands on."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("broadcaster", deadline=None, max_examples=100)
settings.register_profile("soak", deadline=None, max_examples=2_000)
settings.load_profile("broadcaster")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("ABLY_", "BROADCAST_", "PUSHER_", "REDIS_")):
            monkeypatch.delenv(name)

from __future__ import annotations

from copy import copy

import pytest

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect, HangUp, Probe, Push

from .conversation import Conversation

CONNECTION = Connection("1.1", Conversation().connects())


def test_a_push_leaves_nobody_out_unless_told_to() -> None:
    assert Push("text", (CONNECTION,)).without is None


@pytest.mark.parametrize(
    ("effect", "field"),
    [
        (Push("text", (CONNECTION,)), "text"),
        (HangUp(CONNECTION, 4009, "why"), "code"),
        (Probe(CONNECTION), "connection"),
    ],
)
def test_an_effect_is_a_value(effect: Effect, field: str) -> None:
    assert effect == copy(effect)
    with pytest.raises(AttributeError):
        setattr(effect, field, None)

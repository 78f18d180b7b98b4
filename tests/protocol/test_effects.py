from __future__ import annotations

import dataclasses

import pytest

from broadcaster.protocol.connection import Connection
from broadcaster.protocol.effects import Effect, HangUp, Probe, Push

from .conversation import Conversation

CONNECTION = Connection("1.1", Conversation().connects())


def test_a_push_leaves_nobody_out_unless_told_to() -> None:
    assert Push("text", (CONNECTION,)).without is None


@pytest.mark.parametrize(
    "effect", [Push("text", (CONNECTION,)), HangUp(CONNECTION, 4009, "why"), Probe(CONNECTION)]
)
def test_an_effect_is_a_value(effect: Effect) -> None:
    field = dataclasses.fields(effect)[0].name

    assert effect == dataclasses.replace(effect)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(effect, field, None)

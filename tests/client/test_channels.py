from __future__ import annotations

from typing import Any

from broadcaster.client.channels import Channel

SUCCEEDED = "pusher_internal:subscription_succeeded"


async def nothing(name: str, fields: dict[str, Any]) -> None:
    """Send it nowhere."""


async def test_a_client_names_the_last_event_that_it_has_and_goes_on_behind_a_gap() -> None:
    channel = Channel("kept", nothing, lambda name: None)
    named: list[object] = []
    for event, given in [
        (SUCCEEDED, "1-0"),
        ("news", "2-0"),
        ("news", None),
        (SUCCEEDED, "9-0"),
        ("news", "3-0"),
        ("broadcaster:gap", "9-0"),
    ]:
        channel.received({"event": event, "data": {}} | ({"id": given} if given else {}))
        named.append(channel.subscription({}).get("last_id"))

    assert named == ["1-0", "2-0", "2-0", "2-0", "3-0", "9-0"]

"""Which client events are handed on.

Rules: <https://pusher.com/docs/channels/using_channels/events/#triggering-client-events>.
"""

from __future__ import annotations

from broadcaster.channels import Kind, kind_of
from broadcaster.protocol.app import App
from broadcaster.protocol.commands import ClientEvent
from broadcaster.protocol.connection import Connection
from broadcaster.protocol.tally import Tally

__all__ = ["objection"]

# Compared by identity: the hash of a member of an enumeration is computed in Python.
_WHISPERED = (Kind.PRIVATE, Kind.PRESENCE)


def objection(app: App, connection: Connection, event: ClientEvent, now: float, tally: Tally) -> str | None:
    """Return why *event* may not be handed on, or None; counts it against the rate of the connection.

    One that comes too fast is counted in *tally*.
    """
    limits = app.limits
    if not app.client_events:
        return "The application does not accept client events"
    if kind_of(event.channel) not in _WHISPERED:
        return "Client event rejected - only supported on private and presence channels"
    if event.channel not in connection.channels:
        return "The client is not subscribed to the channel"
    if len(event.name) > limits.event_name:
        return f"The event name is longer than {limits.event_name} characters"
    if len(event.data.encode()) > limits.data_size:
        return f"The data is larger than {limits.data_size} bytes"
    if not connection.take_turn(now, per_second=limits.client_events_per_second):
        tally.limited["client_event"] += 1
        return f"More than {limits.client_events_per_second} client events in a second"
    return None

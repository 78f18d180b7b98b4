"""How much one application may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass, fields

from broadcaster.errors import ConfigurationError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, names in characters, times in seconds; the defaults are those of Pusher Channels.

    *activity_timeout* is told to clients: one that hears nothing for so long sends a ping. The server
    asks a silent client for a sign of life after the same time, and hangs up *pong_timeout* later.
    *repeat_window* is how long the id of a message is remembered, to drop its repeats; of the latest
    *repeats_remembered* messages, counted once for each channel. 0 drops none.
    A cache channel's last event is kept for *cache_seconds*; *cached_events* channels have one at most.
    A connection that neither signs in nor joins a guarded channel within *sign_in_timeout* is closed; 0
    waits for ever.
    Of a channel with a history the latest *history_events* are kept, for *history_seconds*; where no other
    nodes share it, those of the latest *history_channels*.
    *connections* are those of the application on one node, *connections_per_address* those of one address
    among them, 0 for any number. A connection may send *frame_burst* frames at once and *frames_per_second*
    for ever; the HTTP API takes *api_requests_per_second*, and twice as many at once. 0 counts none.
    Raises `ConfigurationError` for a timeout that no client could live with.
    """

    activity_timeout: int = 120
    pong_timeout: int = 30
    frame_size: int = 65_536
    data_size: int = 10_240
    event_name: int = 200
    channels_per_event: int = 100
    events_per_batch: int = 10
    channels_per_connection: int = 1_000
    client_events_per_second: int = 10
    presence_members: int = 100
    presence_user_id: int = 128
    presence_user_info: int = 1_024
    repeat_window: int = 300
    repeats_remembered: int = 20_000
    cache_seconds: int = 1_800
    cached_events: int = 1_000
    watchlist: int = 100
    sign_in_timeout: int = 0
    history_events: int = 50
    history_seconds: int = 300
    history_channels: int = 1_000
    connections: int = 0
    connections_per_address: int = 0
    frames_per_second: int = 50
    frame_burst: int = 2_000
    api_requests_per_second: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if (value := getattr(self, field.name)) < 0:
                raise ConfigurationError(f"{field.name} must not be negative, as {value} is")
        if self.activity_timeout < 1:
            raise ConfigurationError(
                f"activity_timeout must be at least 1 second, not {self.activity_timeout}: "
                "pusher-js hangs up on a server that tells it 0"
            )

"""The error and close codes of the protocol, and what a client does when it is closed with one.

4000 to 4099: do not come back unchanged; 4100 to 4199: come back after a second; 4200 to 4299: come
back at once. Codes from 4300 travel in error frames only: as a close code they would keep pusher-js
away for good.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Code"]


class Code(IntEnum):
    """One error or close code."""

    UNKNOWN_APP = 4001
    APP_DISABLED = 4003
    OVER_QUOTA = 4004
    """The application has as many connections as it may have; clients give up."""
    UNSUPPORTED_PROTOCOL = 4007
    NO_PROTOCOL = 4008
    UNAUTHORIZED = 4009
    BACK_OFF = 4100
    """Come back after a second: the server is full, or about to restart."""
    RECONNECT = 4200
    """Come back at once; in an error frame after the handshake, a frame that makes no sense."""
    NO_PONG = 4201
    CLIENT_EVENT_REJECTED = 4301
    WATCHLIST_TOO_LONG = 4302

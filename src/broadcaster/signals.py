"""Signals that an application may listen to; see <https://blinker.readthedocs.io/>.

Receivers are plain functions called with the manager, and with the rest by name: `event`, `message` and
`driver` where something is sent, `user` and `channel` where somebody asks to join (`channel` is None for a
sign-in). In a worker `event` is None, since queues keep messages only. They run in the caller's own thread,
before it goes on, so they must not block.
"""

from __future__ import annotations

from blinker import Signal

__all__ = ["Signal", "authorized", "denied", "failed", "gave_up", "queued", "sending", "sent"]

sending = Signal("A driver is about to get a message; a receiver that raises stops it.")
sent = Signal("A driver has delivered a message.")
failed = Signal("A driver could not deliver a message; `error` is the DeliveryError.")

queued = Signal("A queue has taken a message; `driver` will deliver it, `queue` is the engine's name.")
gave_up = Signal("A worker does not try a message again; `error` says why.")

authorized = Signal("Somebody may join a channel, or was signed in.")
denied = Signal("Somebody may not; `error` is the Forbidden that says why.")

"""Signals that an application may listen to; see <https://blinker.readthedocs.io/>.

Receivers are plain functions called with the manager, and with `event`, `message` and `driver` by name.
They run in the sender's own thread, before `send()` returns, so they must not block.
"""

from __future__ import annotations

from blinker import Signal

__all__ = ["Signal", "failed", "sending", "sent"]

sending = Signal("A driver is about to get a message; a receiver that raises stops it.")
sent = Signal("A driver has delivered a message.")
failed = Signal("A driver could not deliver a message; `error` is the DeliveryError.")

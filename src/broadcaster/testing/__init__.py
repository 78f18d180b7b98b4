"""For tests: of applications, what they sent; of drivers, the contract that they keep."""

from broadcaster.testing.outbox import Outbox, Sent, capture

__all__ = ["Outbox", "Sent", "capture"]

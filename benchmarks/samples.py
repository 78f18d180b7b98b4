"""The event that every benchmark of the sending half sends."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from pydantic import BaseModel

from broadcaster import Event, PrivateChannel

__all__ = ["OrderShipped", "order_shipped"]


class Address(BaseModel):
    """Where the parcel goes."""

    street: str
    city: str


class OrderShipped(Event):
    """Five fields, one of them a model; about 170 bytes of JSON."""

    order_id: int
    carrier: str
    price: Decimal
    shipped_at: datetime
    address: Address

    def broadcast_on(self) -> PrivateChannel:
        """Return the order's own channel."""
        return PrivateChannel(f"orders.{self.order_id}")


_ADDRESS = Address(street="Unter den Linden 77", city="Berlin")
_SHIPPED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_PRICE = Decimal("19.90")


def order_shipped(number: int) -> OrderShipped:
    """Return one event; each *number* has a channel of its own."""
    return OrderShipped(
        order_id=number, carrier="post", price=_PRICE, shipped_at=_SHIPPED_AT, address=_ADDRESS
    )

"""Announce that an order was shipped; BROADCAST_DRIVER says by which way, and nothing else changes."""

from broadcaster import BroadcastManager, Event, PrivateChannel


class OrderShipped(Event):
    order_id: int
    carrier: str

    def broadcast_on(self) -> PrivateChannel:
        return PrivateChannel(f"orders.{self.order_id}")


with BroadcastManager.from_env() as broadcast:
    broadcast.send(OrderShipped(order_id=7, carrier="post"))

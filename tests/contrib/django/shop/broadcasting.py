"""Rules that are found by themselves."""

from broadcaster import Member
from broadcaster.contrib.django import broadcast


@broadcast.channel("rooms.{room}")
def who_is_there(user: object, room: str) -> Member:
    return Member(str(user))


@broadcast.channel("orders.{order_id}")
async def may_see_order(user: object, order_id: int) -> bool:
    return order_id == 7

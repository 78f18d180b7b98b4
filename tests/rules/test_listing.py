from __future__ import annotations

from functools import partial

from broadcaster.rules import ChannelRules
from broadcaster.rules.listing import listing


def may_join(user: object, *, always: bool = True) -> bool:
    return always


class Door:
    def join(self, user: object) -> bool:
        return True


def test_a_line_says_which_function_or_class_decides() -> None:
    rules = ChannelRules()
    rules.channel("rooms.{room}")(may_join)
    rules.channel("doors.front")(Door)
    rules.channel("doors.back")(Door())  # type: ignore[type-var]
    rules.channel("orders.{order_id}")(partial(may_join, always=False))

    assert listing(rules, width=60) == [
        "doors.back ................... tests.rules.test_listing.Door",
        "doors.front .................. tests.rules.test_listing.Door",
        "orders.{order_id} ........ tests.rules.test_listing.may_join",
        "rooms.{room} ............. tests.rules.test_listing.may_join",
        "",
        "4 rules",
    ]


def test_included_rules_are_listed_with_their_prefix() -> None:
    rules, shop = ChannelRules(), ChannelRules()
    shop.channel("orders")(may_join)
    rules.include(shop, prefix="shop.")

    lines = listing(rules)

    assert lines[0].startswith("shop.orders ...")
    assert lines[1:] == ["", "1 rule"]


def test_a_line_that_is_too_long_keeps_its_dots() -> None:
    rules = ChannelRules()
    rules.channel("rooms.{room}")(may_join)

    assert listing(rules, width=10)[0] == "rooms.{room} ... tests.rules.test_listing.may_join"


def test_without_rules_there_is_nothing() -> None:
    assert listing(ChannelRules()) == []

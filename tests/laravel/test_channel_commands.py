"""Laravel's ChannelListCommandTest: which channels have a rule."""

from __future__ import annotations

import pytest

from broadcaster import BroadcastManager, Forbidden


def test_an_application_without_rules_is_told_that_there_are_none() -> None:
    broadcast = BroadcastManager()

    assert broadcast.rules.patterns == []
    with pytest.raises(Forbidden, match="there are none"):
        broadcast.authorize("ann", "private-orders.7", socket_id="1.2")


def test_the_rules_are_listed_by_their_patterns_in_the_order_in_which_they_are_tried() -> None:
    broadcast = BroadcastManager()
    broadcast.channel("orders.{order_id}")(lambda user, order_id: True)

    @broadcast.channel("articles.{article}")
    class Rule:
        def join(self, user: object) -> bool:
            return True

    assert broadcast.rules.patterns == ["orders.{order_id}", "articles.{article}"]

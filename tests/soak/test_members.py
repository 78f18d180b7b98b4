from __future__ import annotations

from tests.soak.members import Members


def test_a_list_that_goes_as_it_should_has_no_mistakes() -> None:
    members = Members("presence-1")

    members.subscribed(["ann", "bob"], 2)
    members.added("cy")
    members.removed("bob")
    members.subscribed(["cy", "bob"], 2)

    assert members.ids == {"cy", "bob"}
    assert members.mistakes == []


def test_who_comes_twice_or_leaves_without_having_come_is_a_mistake() -> None:
    members = Members("presence-1")

    members.subscribed(["ann"], 1)
    members.added("ann")
    members.removed("bob")

    assert members.mistakes == [
        "ann came to presence-1, and was there already",
        "bob left presence-1, and was not there",
    ]


def test_an_acknowledgement_that_names_somebody_twice_is_a_mistake() -> None:
    members = Members("presence-1")

    members.subscribed(["ann", "ann"], 2)

    assert len(members.mistakes) == 1

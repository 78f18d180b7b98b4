from broadcaster.cluster.local import LocalRoster
from broadcaster.cluster.roster import place_in
from broadcaster.protocol.census import Census, Channels, Counts, Occupancy, UsersOn
from broadcaster.protocol.elsewhere import Change
from broadcaster.server.inquiries import inquire


def roster() -> LocalRoster:
    """A roster with somebody on a presence channel, on a public one, and on that of a single user."""
    found = LocalRoster()
    found.open(lambda *_: None, lambda *_: None, lambda *_: None)
    for app, channel, change in [
        ("3", "presence-room", Change(2, {"ann": {}})),
        ("3", "orders", Change(5)),
        ("3", "#server-to-user-7", Change(1)),
        ("4", "secret", Change(1)),
    ]:
        found.report(place_in(app, channel), change, tell=False)
    return found


async def test_the_channels_of_an_application_are_listed_in_order() -> None:
    census = await inquire(roster(), "3", Channels(""))

    assert census == Census({"orders": Occupancy(5, 0), "presence-room": Occupancy(2, 1)})
    assert list(census.channels) == ["orders", "presence-room"]


async def test_what_nobody_is_on_is_not_occupied() -> None:
    census = await inquire(roster(), "3", Counts(["orders", "secret"]))

    assert census == Census({"orders": Occupancy(5, 0)})


async def test_the_users_of_a_channel_are_told() -> None:
    assert await inquire(roster(), "3", UsersOn("presence-room")) == Census(users=["ann"])

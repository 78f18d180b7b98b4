"""What the HTTP API wants to know of all nodes."""

from __future__ import annotations

from broadcaster.cluster.roster import Roster, place_in
from broadcaster.protocol.census import Census, Channels, Counts, Question, UsersOn, is_listed

__all__ = ["inquire"]


async def inquire(roster: Roster, app_id: str, question: Question) -> Census:
    """Ask *roster*; raise `OSError` where the answer cannot be known now."""
    match question:
        case Channels(prefix):
            found = await roster.channels(app_id, prefix)
            return Census({name: found[name] for name in sorted(found) if is_listed(name, prefix)})
        case Counts(channels):
            places = {place_in(app_id, channel): channel for channel in channels}
            counted = await roster.count(places)
            return Census({places[place]: found for place, found in counted.items() if found.connections})
        case UsersOn(channel):
            return Census(users=await roster.users(place_in(app_id, channel)))

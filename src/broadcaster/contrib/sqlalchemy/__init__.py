"""SQLAlchemy: events that wait for the commit of a session, and models that announce their changes."""

from broadcaster.contrib.models import Change, ModelEvent, pattern_of
from broadcaster.contrib.sqlalchemy.commits import Sessions, follow_commits, transaction_of
from broadcaster.contrib.sqlalchemy.models import BroadcastsEvents, broadcast_models, channel_of

__all__ = [
    "BroadcastsEvents",
    "Change",
    "ModelEvent",
    "Sessions",
    "broadcast_models",
    "channel_of",
    "follow_commits",
    "pattern_of",
    "transaction_of",
]

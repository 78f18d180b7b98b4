"""Who may join which channel."""

from broadcaster.rules.registry import ChannelRules
from broadcaster.rules.rule import Grant

__all__ = ["ChannelRules", "Grant"]

"""How often a model is tried that takes its time."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["examples"]


def examples(count: int) -> int:
    """Return *count*, and twenty times that under `pytest --hypothesis-profile=soak`."""
    return count * settings.get_profile(settings.get_current_profile_name()).max_examples // 100

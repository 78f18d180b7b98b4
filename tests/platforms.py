"""What tests need of the system that runs them."""

from __future__ import annotations

import sys

import pytest

__all__ = ["only_linux"]


def only_linux(reason: str) -> pytest.MarkDecorator:
    """Return a mark for what other systems cannot do, with the *reason*."""
    return pytest.mark.skipif(sys.platform != "linux", reason=reason)

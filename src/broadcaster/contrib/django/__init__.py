"""Broadcasting in a Django project: name this package in INSTALLED_APPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broadcaster.contrib.django.manager import broadcast

__all__ = ["broadcast"]


def __getattr__(name: str) -> object:
    # Not before it is asked for: Django imports this package while it reads INSTALLED_APPS.
    if name != "broadcast":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from broadcaster.contrib.django.manager import broadcast

    return broadcast

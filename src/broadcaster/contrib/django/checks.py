"""What `manage.py check` says about broadcasting."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isclass

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from broadcaster.contrib.django.middleware import EchoMiddleware
from broadcaster.errors import ConfigurationError, MissingExtra
from broadcaster.manager import BroadcastManager

__all__ = ["check_broadcasting", "findings"]

_PATH = f"{EchoMiddleware.__module__}.{EchoMiddleware.__qualname__}"


def check_broadcasting(**_what: object) -> list[checks.CheckMessage]:
    """Return what is wrong with the manager of the process, its rules and the settings around it."""
    from broadcaster.contrib.django import broadcast

    return list(findings(broadcast))


def findings(broadcast: BroadcastManager) -> Iterator[checks.CheckMessage]:
    """Yield what keeps *broadcast* from working in this project."""
    try:
        broadcast.driver()
    except (ConfigurationError, MissingExtra) as error:
        hint = "See BROADCASTING in the settings; without it the environment counts."
        yield checks.Error(str(error), hint=hint, id="broadcaster.E001")
    try:
        broadcast.rules.check()
    except ConfigurationError as error:
        hint = "Register a resolver for the class, or take an int or a str instead."
        yield checks.Error(str(error), hint=hint, id="broadcaster.E002")
    if not any(_is_ours(path) for path in settings.MIDDLEWARE):
        yield checks.Warning(
            "nothing notes which connection a request comes from: to_others=True leaves nobody out, and the "
            "CSRF token that Echo sends is not seen",
            hint=f"Add {_PATH!r} to MIDDLEWARE.",
            id="broadcaster.W001",
        )


def _is_ours(path: str) -> bool:
    try:
        middleware = import_string(path)
    except ImportError:
        # Django tells of it as soon as it serves.
        return False
    return isclass(middleware) and issubclass(middleware, EchoMiddleware)

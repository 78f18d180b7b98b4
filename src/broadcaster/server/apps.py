"""The applications that a server serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeAlias

from broadcaster.errors import ConfigurationError
from broadcaster.protocol.app import App
from broadcaster.protocol.origins import Origins

__all__ = ["App", "Apps", "check_apps", "provider_of"]

Apps: TypeAlias = Iterable[App] | Callable[[], Iterable[App]]
"""The applications, or what finds them anew each time: in a file, in a database."""


def provider_of(apps: Apps) -> Callable[[], Iterable[App]]:
    """Return what finds the applications, also where they are given once and for all."""
    if callable(apps):
        return apps
    found = list(apps)
    return lambda: found


def check_apps(apps: Iterable[App]) -> list[App]:
    """Return *apps* as a list; raise `ConfigurationError` when they cannot be told apart, or served."""
    checked = list(apps)
    if not checked:
        raise ConfigurationError("a server needs at least one App")
    for name in ("id", "key", "secret"):
        if not all(getattr(app, name) for app in checked):
            raise ConfigurationError(f"an App has an empty {name}")
    if not all(pair.key and pair.secret for app in checked for pair in app.other_keys):
        raise ConfigurationError("an App has an empty key or secret in other_keys")
    _check_unique("id", [app.id for app in checked])
    _check_unique("key", [pair.key for app in checked for pair in (app.credentials, *app.other_keys)])
    for app in checked:
        Origins(app.origins)
    return checked


def _check_unique(name: str, values: Iterable[str]) -> None:
    if twice := [value for value, count in Counter(values).items() if count > 1]:
        raise ConfigurationError(f"two Apps have the same {name}: {twice[0]!r}")

"""The manager of the process, as the project's settings describe it."""

from __future__ import annotations

import atexit
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from broadcaster.config import DriverConfig, Settings
from broadcaster.contrib.django.commits import open_transaction
from broadcaster.errors import ConfigurationError
from broadcaster.manager import BroadcastManager

__all__ = ["broadcast", "manager_of"]

SETTING = "BROADCASTING"


def manager_of(content: Mapping[str, Any] | None) -> BroadcastManager:
    """Return a manager with what `Settings.from_dict()` takes; with None it reads the environment.

    It waits for Django's transactions, and asks plain rules in the thread of the request. Where *content*
    is wrong, sending raises the `ConfigurationError`, so that a system check can tell it first.
    """
    manager = BroadcastManager(_read(content))
    manager.follow(open_transaction)
    manager.to_thread = in_request_thread
    return manager


def in_request_thread(function: Callable[..., Any], /, *arguments: object, **named: object) -> Awaitable[Any]:
    """Call *function* where Django's own code runs: database connections are the request's."""
    call: Awaitable[Any] = sync_to_async(function, thread_sensitive=True)(*arguments, **named)
    return call


def _read(content: Mapping[str, Any] | None) -> Settings:
    try:
        return Settings.from_env() if content is None else Settings.from_dict(content)
    except ConfigurationError as error:
        return Settings(SETTING, {SETTING: DriverConfig(SETTING, problem=f"{SETTING}: {error}")})


broadcast = manager_of(getattr(settings, SETTING, None))
"""Sends events and has the rules, everywhere in this process."""

# Django says nobody that it ends. Nothing waits to be sent by then; this is for the servers' connections.
atexit.register(broadcast.close)

"""The drivers of a manager: by name, each made on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from inspect import signature
from typing import Any

from broadcaster.config import DriverConfig, Settings
from broadcaster.drivers.base import Driver
from broadcaster.drivers.failover import FailoverDriver
from broadcaster.drivers.kinds import DriverFactory, factory_of, known_kinds
from broadcaster.drivers.local import LocalDriver, LocalServer
from broadcaster.drivers.stack import StackDriver
from broadcaster.errors import ConfigurationError, named, suggestion

__all__ = ["Drivers"]

_GROUPS: Mapping[str, Callable[..., Driver]] = {"failover": FailoverDriver, "stack": StackDriver}


class Drivers:
    """Makes the drivers that *settings* describe; `local` publishes on *server*."""

    def __init__(self, settings: Settings, *, server: LocalServer | None) -> None:
        self._configured = {**settings.spare, **settings.drivers}
        self._factories: dict[str, DriverFactory] = {
            "local": _needs_server if server is None else partial(LocalDriver, server),
            **{kind: partial(self._grouped, group) for kind, group in _GROUPS.items()},
        }
        self._made: dict[str, Driver] = {}
        self._making: list[str] = []  # guarded by the lock
        self.lock = threading.RLock()
        """Held while a driver is made, and whoever makes something out of drivers may hold it."""

    def get(self, name: str) -> Driver:
        """Return the driver of that name, or raise `ConfigurationError`."""
        driver = self._made.get(name)
        if driver is None:
            with self.lock:
                driver = self._made.get(name)
                if driver is None:
                    self._made[name] = driver = self._make(name)
        return driver

    def are_made(self, names: Iterable[str]) -> bool:
        """Whether there is a driver of each of these *names*."""
        return all(map(self._made.__contains__, names))

    def every(self) -> list[Driver]:
        """Return those that were made."""
        with self.lock:
            return list(self._made.values())

    def config(self, name: str) -> DriverConfig:
        """Return what the driver of that name is made from; a kind that nobody configured is a name, too."""
        return self._configured.get(name) or DriverConfig(name)

    def load(self, names: Iterable[str]) -> None:
        """Import what drivers of these *names* are made of; what is wrong with them is told by `get()`."""
        wanted, kinds = [*names], set[str]()
        for name in wanted:
            config = self.config(name)
            if config.kind in _GROUPS:
                wanted += [member for member in config.options.get("drivers", ()) if member not in wanted]
            elif config.kind not in self._factories:
                kinds.add(config.kind)
        for kind in kinds:
            with suppress(Exception):
                factory_of(kind)

    def extend(self, kind: str, factory: DriverFactory) -> None:
        """Add a kind of driver, or replace one, and close those of that kind that were made before."""
        with self.lock:
            self._factories[kind] = factory
            if self.config(kind).problem is not None:
                # Its variables were wrong for the driver that is not used any more.
                del self._configured[kind]
            # A group may hold a driver of that kind, and is made anew with the new one.
            kinds = {kind, *_GROUPS}
            with ExitStack() as closing:
                for name in [name for name in self._made if self.config(name).kind in kinds]:
                    closing.callback(self._made.pop(name).close)

    def _make(self, name: str) -> Driver:
        config = self.config(name)
        if config.problem is not None:
            raise ConfigurationError(config.problem)
        factory = self._factories.get(config.kind) or factory_of(config.kind)
        if factory is None:
            raise ConfigurationError(self._unknown(name, config.kind))
        try:
            signature(factory).bind(**config.options)
        except TypeError as error:
            # It names an option, and never its value, which may be a secret.
            raise ConfigurationError(f"driver {name!r}: {error}; given: {named(config.options)}") from None
        if name in self._making:
            circle = " -> ".join([*self._making[self._making.index(name) :], name])
            raise ConfigurationError(f"driver {name!r} is made of itself: {circle}")
        self._making.append(name)
        try:
            return factory(**config.options)
        except Exception as error:
            error.add_note(f"while making the driver {name!r}")
            raise
        finally:
            self._making.pop()

    def _grouped(self, group: Callable[..., Driver], *, drivers: Iterable[str], **options: Any) -> Driver:
        """Make a driver out of others; a member that cannot be made is told now, not when it is needed."""
        return group({name: self.get(name) for name in drivers}, **options)

    def _unknown(self, name: str, kind: str) -> str:
        known = {*self._configured, *self._factories, *known_kinds()} - {name}
        what = (
            f"no driver named {name!r}" if kind == name else f"driver {name!r} has the unknown kind {kind!r}"
        )
        return f"{what}{suggestion(kind, known)}; known: {named(known)}"


def _needs_server(**_options: Any) -> Driver:
    raise ConfigurationError(
        "driver 'local' needs a server in this process; pass it as BroadcastManager(server=...)"
    )

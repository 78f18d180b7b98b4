"""The application that a command works for: its manager, and its queue."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from broadcaster.errors import ConfigurationError
from broadcaster.manager import BroadcastManager
from broadcaster.queues.working import WorkedQueue

__all__ = ["AppOption", "EnvFileOption", "opened", "queue_of"]

AppOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--app", help="The application's own manager, as module:attribute; else the settings make one."
    ),
]
EnvFileOption: TypeAlias = Annotated[Path | None, typer.Option(help="A .env file to read.", exists=True)]


@contextmanager
def opened(app: str | None, env_file: Path | None) -> Iterator[BroadcastManager]:
    """Lend the manager that *app* names, or the one that the environment and *env_file* describe."""
    if app is None:
        manager = BroadcastManager.from_env(env_file)
    elif env_file is None:
        manager = _named(app)
    else:
        raise typer.BadParameter(
            "the manager that --app names has read its settings", param_hint="--env-file"
        )
    with manager:
        yield manager


def queue_of(manager: BroadcastManager) -> WorkedQueue:
    """Return the queue of *manager*; raise `ConfigurationError` for one that has no workers of ours."""
    queue = manager.queue
    if isinstance(queue, WorkedQueue):
        return queue
    remedy = "BROADCAST_QUEUE=sqlite is a queue with workers"
    if queue is None:
        why = "without a queue, send() delivers itself"
        if (unread := os.environ.get("BROADCAST_QUEUE")) not in {None, "", "sync"}:
            why = f"the manager that --app names did not read BROADCAST_QUEUE={unread}"
            remedy = "make it with BroadcastManager.from_env()"
    elif queue.name == "memory":
        why = "the process that sends delivers what its queue in memory holds, and nobody else can see it"
    else:
        why = f"the queue {queue.name!r} has workers of its own"
    raise ConfigurationError(f"there is nothing to work on: {why}; {remedy}")


def _named(app: str) -> BroadcastManager:
    module, _, attribute = app.partition(":")
    if not module or not attribute:
        raise ConfigurationError(f"--app is {app!r}; write module:attribute, as in shop.events:broadcast")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = attrgetter(attribute)(import_module(module))
    except ModuleNotFoundError as error:
        # What the application itself is missing, its traceback tells best.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(f"--app {app!r}: there is no module {error.name!r} here") from None
    except AttributeError:
        if attribute.partition(".")[0] in dir(sys.modules.get(module)):
            raise
        raise ConfigurationError(f"--app {app!r}: {module!r} has no {attribute!r}") from None
    if not isinstance(found, BroadcastManager):
        raise ConfigurationError(f"--app {app!r} is a {type(found).__name__}, and no BroadcastManager")
    return found

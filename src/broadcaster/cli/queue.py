"""`broadcaster queue`: what waits, what was given up, and what may be done about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from broadcaster.cli._application import AppOption, EnvFileOption, opened, queue_of
from broadcaster.cli._shown import show
from broadcaster.errors import BroadcastError
from broadcaster.queues.envelopes import UnreadableEnvelope, open_envelope
from broadcaster.queues.failed import Failed
from broadcaster.queues.retries import retry as send_again
from broadcaster.queues.working import WorkedQueue

__all__ = ["queue"]

queue = typer.Typer(
    no_args_is_help=True, help="See what waits and what was given up, and what may be done about it."
)

_MOST = 1_000_000
_Names = Annotated[list[str], typer.Argument(help="Names of queues, with spaces or commas between.")]


@queue.command()
def size(*, app: AppOption = None, env_file: EnvFileOption = None) -> None:
    """Show how much waits in each queue, and how much of it workers hold."""
    with _queue(app, env_file) as found:
        show(
            [
                {
                    "queue": name,
                    "ready": size.ready,
                    "delayed": size.delayed,
                    "held": size.held,
                    "paused": size.paused,
                }
                for name, size in sorted(found.sizes().items())
            ]
        )


@queue.command()
def failed(
    *,
    most: Annotated[int, typer.Option(help="How many, of the latest.", min=1, max=_MOST)] = 100,
    app: AppOption = None,
    env_file: EnvFileOption = None,
) -> None:
    """Show what was given up, the latest first; not what it says."""
    with _queue(app, env_file) as found:
        show(
            [
                {
                    "id": kept.id,
                    "at": datetime.fromtimestamp(kept.at, UTC).isoformat(timespec="seconds"),
                    "event": kept.name,
                    "driver": kept.driver,
                    "queue": kept.queue,
                    "reason": kept.reason,
                }
                for kept in found.failed.list(most=most)
            ]
        )


@queue.command()
def retry(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Which, by their ids, or by those of their messages.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that was given up.")] = False,
    app: AppOption = None,
    env_file: EnvFileOption = None,
) -> None:
    """Let what was given up wait in its queue again, as if it had never been tried."""
    if bool(ids) == everything:
        raise typer.BadParameter("name ids, or --all", param_hint="ID")
    with _queue(app, env_file) as found:
        if everything:
            given_up = [*reversed(found.failed.list(most=max(1, found.failed.count())))]
        else:
            given_up = _find_all(found, ids or [])
        unreadable = send_again(found, given_up)
        typer.echo(f"{len(given_up) - len(unreadable)} wait again")
        if unreadable:
            raise BroadcastError(
                f"these cannot be read, and stay: {', '.join(kept.id for kept in unreadable)}"
            )


@queue.command()
def forget(
    ids: Annotated[list[str], typer.Argument(help="Which, by their ids.")],
    *,
    app: AppOption = None,
    env_file: EnvFileOption = None,
) -> None:
    """Drop what was given up, by id."""
    with _queue(app, env_file) as found:
        given_up = _find_all(found, ids)
        for kept in given_up:
            found.failed.forget(kept.id)
        typer.echo(f"{len(given_up)} forgotten")


@queue.command()
def flush(*, app: AppOption = None, env_file: EnvFileOption = None) -> None:
    """Drop all that was given up."""
    with _queue(app, env_file) as found:
        typer.echo(f"{found.failed.flush()} forgotten")


@queue.command()
def clear(names: _Names, *, app: AppOption = None, env_file: EnvFileOption = None) -> None:
    """Drop what waits in queues; what workers hold stays."""
    with _queue(app, env_file) as found:
        typer.echo(f"{sum(found.clear(name) for name in _each(names))} dropped")


@queue.command()
def pause(names: _Names, *, app: AppOption = None, env_file: EnvFileOption = None) -> None:
    """Let no worker take from queues; what is sent waits."""
    with _queue(app, env_file) as found:
        for name in _each(names):
            found.pause(name)
        typer.echo(f"paused: {', '.join(_each(names))}")


@queue.command()
def resume(names: _Names, *, app: AppOption = None, env_file: EnvFileOption = None) -> None:
    """Go on with queues."""
    with _queue(app, env_file) as found:
        for name in _each(names):
            found.resume(name)
        typer.echo(f"resumed: {', '.join(_each(names))}")


def _each(names: Iterable[str]) -> list[str]:
    """Return each name once; a list with commas is what `broadcaster work --queue` takes."""
    parts = (part.strip() for name in names for part in name.split(","))
    return list(dict.fromkeys(part for part in parts if part))


@contextmanager
def _queue(app: str | None, env_file: Path | None) -> Iterator[WorkedQueue]:
    try:
        with opened(app, env_file) as manager:
            yield queue_of(manager)
    except OSError as error:
        raise BroadcastError(str(error)) from error


def _find_all(found: WorkedQueue, ids: Iterable[str]) -> list[Failed]:
    """Return what has these ids in the failed store, or a message that has one of them, each once."""
    by_id: dict[str, Failed] = {}
    by_message: dict[str | None, list[Failed]] = {}
    for wanted in ids:
        if (kept := found.failed.find(wanted)) is not None:
            by_id[kept.id] = kept
            continue
        by_message = by_message or _by_message(found)
        if wanted not in by_message:
            raise BroadcastError(
                f"nothing was given up under the id {wanted!r}; `broadcaster queue failed` lists them"
            )
        by_id |= {each.id: each for each in by_message[wanted]}
    return [*by_id.values()]


def _by_message(found: WorkedQueue) -> dict[str | None, list[Failed]]:
    """Return what was given up by the ids of the messages: there is one for each of its drivers."""
    by_message: dict[str | None, list[Failed]] = {}
    for kept in reversed(found.failed.list(most=_MOST)):
        by_message.setdefault(_message_id(kept), []).append(kept)
    return by_message


def _message_id(kept: Failed) -> str | None:
    """Return the id that a worker told when it gave this up."""
    try:
        return open_envelope(kept.body).message.id
    except UnreadableEnvelope:
        return None

"""`broadcaster listen`: shows what happens on a channel."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from broadcaster.channels import kind_of
from broadcaster.cli._shown import has_terminal, printable, write_line
from broadcaster.client import Channel, Client, Incoming
from broadcaster.encoding import encode
from broadcaster.errors import BroadcastError
from broadcaster.signing import Credentials

__all__ = ["listen"]

_TIMEOUT = 10.0


def listen(
    channel: Annotated[str, typer.Argument(help="The channel, with its prefix: private-orders.7.")],
    *,
    event: Annotated[
        list[str] | None, typer.Option(help="An event to show; all where none is named.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where the server is.", envvar="PUSHER_HOST", show_envvar=True)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Its port.", envvar="PUSHER_PORT", show_envvar=True, min=1, max=65535)
    ] = 6001,
    scheme: Annotated[
        str, typer.Option(help="http or https.", envvar="PUSHER_SCHEME", show_envvar=True)
    ] = "http",
    key: Annotated[
        str, typer.Option(help="Key of the application.", envvar=["PUSHER_APP_KEY", "PUSHER_KEY"])
    ] = "app-key",
    secret: Annotated[
        str,
        typer.Option(
            help="Its secret, which guarded channels take.",
            envvar=["PUSHER_APP_SECRET", "PUSHER_SECRET"],
            show_default=False,
        ),
    ] = "app-secret",  # noqa: S107 - everybody's, of `serve --dev`
    encryption_master_key: Annotated[
        str | None,
        typer.Option(
            help="What encrypted channels take besides.",
            envvar="PUSHER_ENCRYPTION_MASTER_KEY",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="End after so many events; 0 never ends.", min=0)] = 0,
) -> None:
    """Show the events of a channel as they come, until Ctrl-C; a line of JSON each where this is no terminal.

    Without options it listens to `broadcaster serve --dev`.
    """
    if scheme not in {"http", "https"}:
        raise typer.BadParameter(f"{scheme!r} is neither http nor https", param_hint="--scheme")
    logging.basicConfig(level=logging.WARNING, format="broadcaster: %(message)s")
    url = f"{'wss' if scheme == 'https' else 'ws'}://{host}:{port}"
    try:
        client = Client(
            url,
            key,
            auth=Credentials(key, secret),
            encryption_master_key=encryption_master_key or None,
            timeout=_TIMEOUT,
        )
        with suppress(KeyboardInterrupt):
            asyncio.run(_show(client, channel, event or [], count))
    except BroadcastError as error:
        typer.echo(f"broadcaster: {error}", err=True)
        raise typer.Exit(1) from None


async def _show(client: Client, name: str, events: list[str], count: int) -> None:
    console = Console(highlight=False, soft_wrap=True)
    async with client:
        channel = client.open(name)
        told = asyncio.create_task(_tell_when_joined(channel))
        shown = 0
        async with channel.listen(*events) as listener:
            async for incoming in listener:
                if has_terminal():
                    console.print(_line(incoming))
                else:
                    write_line(_fields(incoming))
                shown += 1
                if shown == count:
                    break
        told.cancel()


async def _tell_when_joined(channel: Channel) -> None:
    await channel.joined.wait()
    kind = kind_of(channel.name).name.lower()
    typer.echo(f"broadcaster: listening to the {kind} channel {channel.name}; Ctrl-C ends it", err=True)


def _fields(incoming: Incoming) -> dict[str, object]:
    fields = {"event": incoming.name, "channel": incoming.channel, "data": incoming.data}
    if incoming.user_id is not None:
        fields["user_id"] = incoming.user_id
    return fields


def _line(incoming: Incoming) -> Text:
    shown = printable(incoming.data if isinstance(incoming.data, str) else encode(incoming.data))
    return Text.assemble((time.strftime("%H:%M:%S"), "dim"), "  ", (incoming.name, "bold cyan"), "  ", shown)

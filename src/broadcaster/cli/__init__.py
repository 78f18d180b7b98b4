"""The commands of `broadcaster`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from broadcaster._version import __version__
from broadcaster.errors import MissingExtra

try:
    import typer
except ImportError as error:
    raise MissingExtra("typer", extra="cli") from error

from broadcaster.cli.demo import demo
from broadcaster.cli.queue import queue
from broadcaster.cli.work import work

__all__ = ["app"]

_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _telling(missing: MissingExtra) -> Callable[[], None]:
    def tell() -> None:
        """Not here: this takes the extra `server`."""
        raise missing

    return tell


app = typer.Typer(
    name="broadcaster",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
try:
    # A worker needs no server.
    from broadcaster.cli.listen import listen
    from broadcaster.cli.restart import restart
    from broadcaster.cli.serve import serve
except MissingExtra as missing:
    for name in ("serve", "restart", "listen"):
        app.command(name, context_settings=_ANYTHING)(_telling(missing))
else:
    app.command()(serve)
    app.command()(restart)
    app.command()(listen)
app.command()(work)
app.add_typer(queue, name="queue")
app.command()(demo)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the shape that typer calls
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Event broadcasting for Python."""

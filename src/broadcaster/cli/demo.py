"""`broadcaster demo`: see a typed event reach a browser."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Make the round trip without a browser, report, and exit 0 or 1.")
    ] = False,
    port: Annotated[
        int, typer.Option(help="Port of the example application; 0 takes any free one.", min=0, max=65535)
    ] = 8000,
    server_port: Annotated[
        int, typer.Option(help="Port of the server; 0 takes any free one.", min=0, max=65535)
    ] = 6001,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Start a server and an example application, and open a page in which two windows talk."""
    from broadcaster import demo as example

    if check:
        raise typer.Exit(0 if example.check() else 1)
    example.run(port=server_port, app_port=port, open_browser=browser)

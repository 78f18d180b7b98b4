"""`broadcaster serve`: the server as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from broadcaster.cli._log import LogFormat, log_to_stderr, say
from broadcaster.cluster.group import Group
from broadcaster.cluster.redis_url import secrets_in
from broadcaster.server import Admin, App, Proxies, Server, Tls
from broadcaster.server import serve as run_server
from broadcaster.server.config import apps_from_env, apps_from_toml, bounds_from_toml
from broadcaster.server.logs import Redaction

__all__ = ["serve"]

_DRAIN_SECONDS = 5.0

_DEV = App(id="1", key="app-key", secret="app-secret")  # noqa: S106


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)
    ] = 6001,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with the applications; SIGHUP reads it again.")
    ] = None,
    env_file: Annotated[Path | None, typer.Option(help="A .env file to read.", exists=True)] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="A certificate with its chain, PEM; SIGHUP reads it again.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, where that is another file.")] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="A proxy whose X-Forwarded-For is believed: an address or a network."),
    ] = None,
    proxy_protocol: Annotated[
        bool, typer.Option("--proxy-protocol", help="Take connections with a PROXY header, and no others.")
    ] = False,
    webhook_buffer: Annotated[
        Path | None, typer.Option(help="An SQLite file where webhooks wait; without it they wait in memory.")
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            help="Hear other nodes, and what is published there: redis://host:6379,"
            " redis+sentinel://host:26379,host:26379/service or redis+cluster://host:6379,host:6379.",
            envvar="BROADCAST_SERVER_REDIS",
            show_envvar=True,
        ),
    ] = None,
    redis_prefix: Annotated[
        str,
        typer.Option(
            help="What the names of channels follow there.", envvar="REDIS_PREFIX", show_envvar=True
        ),
    ] = "",
    metrics_port: Annotated[
        int | None,
        typer.Option(help="A second port, for /metrics, /livez, /readyz and /up.", min=0, max=65535),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address of that port.")] = "127.0.0.1",
    tracing: Annotated[
        bool,
        typer.Option(
            "--tracing",
            help="Make spans of OpenTelemetry for requests to the HTTP API.",
            envvar="BROADCAST_TRACING",
            show_envvar=True,
        ),
    ] = False,
    drain_seconds: Annotated[
        float | None,
        typer.Option(
            help="Over how long clients are sent to the other nodes at the end; 0 closes them all at once. "
            "Without --redis there are none, otherwise it is 5.",
            min=0,
            show_default=False,
        ),
    ] = None,
    grace_seconds: Annotated[
        float, typer.Option(help="After SIGTERM it has ended in so many seconds at most.", min=1)
    ] = 10,
    log_format: Annotated[
        LogFormat, typer.Option(help="Log lines of text, or JSON objects.")
    ] = LogFormat.TEXT,
    dev: Annotated[
        bool,
        typer.Option(
            "--dev", help="Serve app 1 with the key app-key and the secret app-secret, to this machine only."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every connection and request that is refused.")
    ] = False,
) -> None:
    """Run a Pusher-protocol server: WebSocket and HTTP API on one port.

    The applications come from the tables [[apps]] of --config, or from BROADCAST_APPS, the same as a JSON
    list, or it is one, from PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET.
    """
    served: list[Server] = []
    log_to_stderr(log_format, Redaction(lambda: _secrets(served, redis)), verbose=verbose)
    if dev and host not in {"127.0.0.1", "::1", "localhost"}:
        raise typer.BadParameter(
            "its secret is known to everybody; it serves 127.0.0.1 only", param_hint="--dev"
        )
    if dev and config is not None:
        raise typer.BadParameter("it serves one application, and --config others", param_hint="--dev")

    def apps() -> list[App]:
        if config is not None:
            return apps_from_toml(config)
        return [_DEV] if dev else apps_from_env(env_file)

    def announce(server: Server) -> None:
        names = "; ".join(f"app {app.id}, key {app.key}" for app in server.apps)
        say(log_format, f"listening on {server.url} ({names})")
        if server.admin is not None:
            say(log_format, f"metrics on {server.admin.url}")

    if (drain_seconds or 0) >= grace_seconds:
        raise typer.BadParameter("it must be less than --grace-seconds", param_hint="--drain-seconds")
    if tls_key is not None and tls_cert is None:
        raise typer.BadParameter("it is the key of --tls-cert, which is missing", param_hint="--tls-key")
    server = Server(
        apps,
        host=host,
        port=port,
        bounds=None if config is None else bounds_from_toml(config),
        tls=None if tls_cert is None else Tls(tls_cert, tls_key),
        proxies=Proxies(trusted_proxy or (), protocol=proxy_protocol),
        webhook_buffer=webhook_buffer,
        group=None if redis is None else _group(redis, redis_prefix),
        admin=None if metrics_port is None else Admin(host=metrics_host, port=metrics_port),
        tracing=tracing,
    )
    served.append(server)
    drain = (0 if redis is None else _DRAIN_SECONDS) if drain_seconds is None else drain_seconds
    run_server(server, grace=grace_seconds, drain=drain or None, ready=announce)
    say(log_format, "stopped")


def _group(url: str, prefix: str) -> Group:
    # Only who has other nodes needs its client.
    from broadcaster.cluster.redis import redis_group

    return redis_group(url, prefix=prefix)


def _secrets(servers: list[Server], redis: str | None) -> Iterator[str]:
    """Yield what may not be told, in a log line least of all."""
    for server in servers:
        for app in server.apps:
            yield from (pair.secret for pair in app.keyring.values())
    yield from secrets_in(redis or "")

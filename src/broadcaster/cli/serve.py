"""`broadcaster serve`: the server as a process of its own."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from broadcaster.cli._log import LogFormat, log_to_stderr, say
from broadcaster.cli._supervise import Ports, supervise
from broadcaster.cluster.group import Group
from broadcaster.cluster.redis_url import secrets_in
from broadcaster.errors import ConfigurationError
from broadcaster.server import Admin, App, Proxies, Server, Tls
from broadcaster.server import serve as run_server
from broadcaster.server.config import apps_from_env, apps_from_toml, bounds_from_toml
from broadcaster.server.logs import Redaction
from broadcaster.server.supervision import Supervision
from broadcaster.server.webhook_files import claim

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
    workers: Annotated[
        int | None,
        typer.Option(help="Run so many processes on the port, and again where one ends.", min=1, max=256),
    ] = None,
    pidfile: Annotated[
        Path | None,
        typer.Option(
            help="Where `broadcaster restart` finds it; without --workers there is one of them then.",
            show_default=False,
        ),
    ] = None,
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
    supervision = Supervision.inherited()
    served: list[Server] = []
    log_to_stderr(
        log_format,
        Redaction(lambda: _secrets(served, redis)),
        worker=None if supervision is None else supervision.number,
        verbose=verbose,
    )
    _check_application(dev=dev, host=host, config=config, tls_cert=tls_cert, tls_key=tls_key)
    _check_end(drain_seconds, grace_seconds)
    if (workers or pidfile) and supervision is None:
        workers = workers or 1
        if workers > 1 and redis is None:
            raise ConfigurationError(
                f"{workers} workers hear each other through Redis: add --redis redis://host:6379"
            )
        ports = Ports(workers, host, port, metrics_host, metrics_port)
        drain = _DRAIN_SECONDS if drain_seconds is None else drain_seconds
        supervise(ports, pid_file=pidfile, grace=grace_seconds, drain=drain, say=partial(say, log_format))
        return

    def apps() -> list[App]:
        if config is not None:
            return apps_from_toml(config)
        return [_DEV] if dev else apps_from_env(env_file)

    with nullcontext() if supervision is None else supervision.telling_failures():
        server = Server(
            apps,
            host=host,
            port=port,
            sockets=supervision.port if supervision else (),
            bounds=None if config is None else bounds_from_toml(config),
            tls=None if tls_cert is None else Tls(tls_cert, tls_key),
            proxies=Proxies(trusted_proxy or (), protocol=proxy_protocol),
            webhook_buffer=claim(webhook_buffer) if supervision and webhook_buffer else webhook_buffer,
            group=None if redis is None else _group(redis, redis_prefix),
            admin=_admin(metrics_host, metrics_port, supervision),
            tracing=tracing,
        )
        served.append(server)
        drain = (0 if redis is None else _DRAIN_SECONDS) if drain_seconds is None else drain_seconds
        ready = partial(_ready, say=partial(say, log_format), supervision=supervision)
        run_server(server, grace=grace_seconds, drain=drain or None, ready=ready, supervision=supervision)
    if supervision is None:
        say(log_format, "stopped")


def _check_application(
    *, dev: bool, host: str, config: Path | None, tls_cert: Path | None, tls_key: Path | None
) -> None:
    if dev and host not in {"127.0.0.1", "::1", "localhost"}:
        raise typer.BadParameter(
            "its secret is known to everybody; it serves 127.0.0.1 only", param_hint="--dev"
        )
    if dev and config is not None:
        raise typer.BadParameter("it serves one application, and --config others", param_hint="--dev")
    if tls_key is not None and tls_cert is None:
        raise typer.BadParameter("it is the key of --tls-cert, which is missing", param_hint="--tls-key")


def _check_end(drain_seconds: float | None, grace_seconds: float) -> None:
    if (drain_seconds or 0) >= grace_seconds:
        raise typer.BadParameter("it must be less than --grace-seconds", param_hint="--drain-seconds")


def _ready(server: Server, *, say: Callable[[str], None], supervision: Supervision | None) -> None:
    # What is there now stays to the end: every client would wait while the garbage collector looked at it.
    gc.collect()
    gc.freeze()
    _announce(server, say=say, supervision=supervision)


def _announce(server: Server, *, say: Callable[[str], None], supervision: Supervision | None) -> None:
    names = "; ".join(f"app {app.id}, key {app.key}" for app in server.apps)
    lines = [f"listening on {server.url} ({names})"]
    if server.admin is not None:
        lines.append(f"metrics on {server.admin.url}")
    if supervision is not None:
        # Once all workers listen, the supervisor says it for them.
        supervision.say(listening=lines)
    else:
        for line in lines:
            say(line)


def _admin(host: str, port: int | None, supervision: Supervision | None) -> Admin | None:
    if port is None:
        return None
    return Admin(host=host, port=port, sockets=supervision.metrics if supervision else ())


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

"""Servers that are programs: soketi, nginx with nchan, NATS."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

from benchmarks import dialects
from benchmarks.app import APP_ID, KEY, SECRET
from benchmarks.peers.getting import debian, npm
from benchmarks.peers.publishers import over_nats, over_nchan
from benchmarks.publishers import over_http_closing
from benchmarks.running import NotHere, Running, Server, listening

__all__ = ["OTHERS", "SOKETI"]

SOKETI = "soketi"

_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit;
load_module {module};
events {{ worker_connections 32768; }}
http {{
    access_log off; keepalive_requests 1000000; keepalive_timeout 3600;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    nchan_message_buffer_length 200;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /sub {{ nchan_subscriber websocket; nchan_channel_id $arg_id;
                         nchan_subscriber_first_message newest; }}
        location /pub {{ nchan_publisher http; nchan_channel_id $arg_id; }}
    }}
}}
"""
_NATS = """
listen: 127.0.0.1:{port}
websocket {{ listen: "127.0.0.1:{websocket}", no_tls: true, compression: false }}
"""


@contextmanager
def _soketi(core: int | None) -> Iterator[Running]:
    # uWebSockets.js is on no registry; these are the same bindings, built for this Node.
    folder = npm(
        "soketi",
        (("@soketi/soketi", "1.6.1"), ("node", "16.20.2")),
        **{"uWebSockets.js": "npm:@trufflesuite/uws-js-unofficial@20.10.0-unofficial.2"},
    )
    port = free_port()
    env = {
        "SOKETI_HOST": "127.0.0.1",
        "SOKETI_PORT": str(port),
        "SOKETI_DEFAULT_APP_ID": APP_ID,
        "SOKETI_DEFAULT_APP_KEY": KEY,
        "SOKETI_DEFAULT_APP_SECRET": SECRET,
        "SOKETI_DEFAULT_APP_ENABLE_CLIENT_MESSAGES": "true",
        "SOKETI_METRICS_ENABLED": "false",
    }
    modules = folder / "node_modules"
    command = [str(modules / ".bin/node"), str(modules / "@soketi/soketi/bin/server.js"), "start"]
    with listening(command, port, core, **env) as pid, over_http_closing(port) as publish:
        yield Running(port, [pid], dialects.pusher, publish)


@contextmanager
def _nchan(core: int | None) -> Iterator[Running]:
    if shutil.which("nginx") is None:
        raise NotHere("there is no nginx")
    module = next(debian("libnginx-mod-nchan").glob("usr/**/ngx_nchan_module.so"))
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "nginx.conf"
        settings.write_text(_NGINX.format(folder=folder, module=module, port=port), "utf-8")
        command = ["nginx", "-p", folder, "-c", str(settings)]
        with listening(command, port, core) as pid, over_nchan(port) as publish:
            yield Running(port, [pid], dialects.nchan, publish)


@contextmanager
def _nats(core: int | None) -> Iterator[Running]:
    program = debian("nats-server") / "usr/sbin/nats-server"
    port, websocket = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "nats.conf"
        settings.write_text(_NATS.format(port=port, websocket=websocket), "utf-8")
        command = [str(program), "-c", str(settings)]
        with listening(command, websocket, core) as pid, over_nats(port) as publish:
            yield Running(websocket, [pid], dialects.nats, publish)


OTHERS: dict[str, Server] = {SOKETI: _soketi, "nginx with nchan": _nchan, "NATS": _nats}
"""All of them are fetched."""

"""The room for any WSGI server; run by the one of the standard library."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer, make_server

from broadcaster.contrib.wsgi import Broadcasting, Environ
from tests.e2e.homes.room import MessageSent, broadcast, cookie_of, name_in


def user_of(environ: Environ) -> str | None:
    return name_in(environ.get("HTTP_COOKIE", ""))


def room(environ: Environ, start_response: Any) -> Iterable[bytes]:
    form = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
    headers = []
    if environ["PATH_INFO"] == "/login":
        headers = [("Set-Cookie", cookie_of(form["name"][0]))]
    else:
        message = MessageSent(by=user_of(environ) or "", text=form["text"][0])
        broadcast.send(message, to_others=True)
    start_response("204 No Content", headers)
    return []


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    with make_server(
        "127.0.0.1", 0, Broadcasting(room, broadcast, user=user_of), server_class=ThreadingServer
    ) as server:
        sys.stderr.write(f"running on http://127.0.0.1:{server.server_port}\n")
        server.serve_forever()

"""Our ASGI application, alone: what `python -m uvicorn benchmarks.asgi_app:server` serves."""

from __future__ import annotations

from benchmarks.app import APP_ID, KEY, SECRET
from broadcaster.server import App, AsgiServer

__all__ = ["server"]

server = AsgiServer([App(APP_ID, KEY, SECRET)])

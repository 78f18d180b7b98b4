"""A server on the library `picows`: `python with_picows.py PORT`."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

_subscribers: defaultdict[str, set[WSTransport]] = defaultdict(set)


class _Listener(WSListener):  # type: ignore[misc]
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        what, channel, *text = frame.get_payload_as_utf8_text().split(" ", 2)
        if what == "publish":
            data = text[0].encode()
            for subscriber in _subscribers[channel]:
                subscriber.send(WSMsgType.TEXT, data)
        else:
            _subscribers[channel].add(transport)
            transport.send(WSMsgType.TEXT, b"subscribed")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for subscribers in _subscribers.values():
            subscribers.discard(transport)


def _listener(_: WSUpgradeRequest) -> _Listener:
    return _Listener()


async def _main(port: int) -> None:
    server = await ws_create_server(_listener, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(int(sys.argv[1])))

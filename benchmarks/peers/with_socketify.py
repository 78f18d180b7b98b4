"""A server on `socketify`, which is uWebSockets: `python with_socketify.py PORT`."""

from __future__ import annotations

import sys

from socketify import App, AppListenOptions, OpCode


def _main(port: int) -> None:
    app = App()

    def handle(connection: object, message: str, _: object) -> None:
        what, channel, *text = message.split(" ", 2)
        if what == "publish":
            app.publish(channel, text[0], OpCode.TEXT)
        else:
            connection.subscribe(channel)  # type: ignore[attr-defined]
            connection.send("subscribed", OpCode.TEXT)  # type: ignore[attr-defined]

    app.ws("/*", {"compression": 0, "idle_timeout": 0, "max_backpressure": 1_048_576, "message": handle})
    app.listen(AppListenOptions(port=port, host="127.0.0.1"))
    app.run()


if __name__ == "__main__":
    _main(int(sys.argv[1]))

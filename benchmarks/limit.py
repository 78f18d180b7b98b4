"""The limit where there is no C compiler: what `limit.c` does, in Python."""

from __future__ import annotations

import os
import select
import socket
import sys

from websockets.frames import Frame, Opcode

from benchmarks.serving import say, usage

__all__ = ["main"]


def main() -> None:
    """Serve until the commands end."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        say(port=listener.getsockname()[1])
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if listener in ready:
                connections.append(_greeted(listener.accept()[0]))
            if sys.stdin in ready:
                commands = os.read(sys.stdin.fileno(), 4096).decode().splitlines()
                if not commands:
                    return
                for command in commands:
                    _obey(command, connections)


def _greeted(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b".")
    return connection


def _obey(command: str, connections: list[socket.socket]) -> None:
    match command.split():
        case ["push", times, size]:
            frame = Frame(Opcode.TEXT, b"." * (int(size) - 4)).serialize(mask=False)
            for _ in range(int(times)):
                for connection in connections:
                    connection.send(frame)
        case ["usage"]:
            say(**usage(), connections=len(connections))


if __name__ == "__main__":
    main()

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.server.clients import SECONDS

from .chats import EXAMPLES, ChatContract


class TestDjangoApp(ChatContract):
    example = "django_app.py"

    @contextmanager
    def serve(self) -> Iterator[str]:
        # In a process of its own, since a process has one Django.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            command = f"-m uvicorn --app-dir {EXAMPLES} --fd {listener.fileno()} django_app:application"
            process = subprocess.Popen(
                [sys.executable, *command.split()],
                pass_fds=[listener.fileno()],
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
                assert process.poll() is None, "the example has died"
            finally:
                process.terminate()
                process.wait(SECONDS)

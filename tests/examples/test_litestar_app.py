from contextlib import AbstractContextManager
from runpy import run_path

from tests.contrib.homes import serving_asgi

from .chats import EXAMPLES, ChatContract


class TestLitestarApp(ChatContract):
    example = "litestar_app.py"

    def serve(self) -> AbstractContextManager[str]:
        return serving_asgi(run_path(str(EXAMPLES / self.example))["app"])

from collections.abc import Iterator
from contextlib import contextmanager
from runpy import run_path

from tests.contrib.homes import serving_wsgi

from .chats import EXAMPLES, ChatContract


class TestFlaskApp(ChatContract):
    example = "flask_app.py"

    @contextmanager
    def serve(self) -> Iterator[str]:
        app = run_path(str(EXAMPLES / self.example))["app"]
        with app.extensions["broadcaster"], serving_wsgi(app) as url:
            yield url

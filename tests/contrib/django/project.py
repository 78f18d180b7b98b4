"""The settings of the project, and who uses it: one process has one Django."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest
from django.test import override_settings
from django.urls import URLPattern

from tests.contrib.homes import serving_asgi, serving_wsgi

ECHO = "broadcaster.contrib.django.middleware.EchoMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
USER = f"{__name__}.user_by_header"


def set_up(folder: Path) -> None:
    """Start Django with its databases in *folder*."""
    databases = {
        name: {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": folder / f"{name}.db",
            "OPTIONS": {"timeout": 10},
        }
        for name in ("default", "archive")
    }
    settings.configure(
        ALLOWED_HOSTS=["*"],
        BROADCASTING={"driver": "null"},
        DATABASES=databases,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "broadcaster.contrib.django",
            "tests.contrib.django.shop",
        ],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[ECHO, USER],
        SECRET_KEY="no secret",
        USE_TZ=True,
    )
    django.setup()


class Named(str):
    """A user who is a name; nobody has none."""

    __slots__ = ()

    is_authenticated = property(bool)


def user_by_header(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    def middleware(request: HttpRequest) -> Any:
        request.user = Named(request.META.get("HTTP_X_USER", "").encode("latin-1").decode())
        return get_response(request)

    return middleware


@contextmanager
def serving(*patterns: URLPattern, asynchronous: bool, **changed: Any) -> Iterator[str]:
    """Serve a project with these URLs, and with what is *changed* of its settings; the value is its URL."""
    routes = ModuleType("routes")
    routes.urlpatterns = patterns  # type: ignore[attr-defined]
    with override_settings(ROOT_URLCONF=routes, **changed):
        server = (
            serving_asgi(get_asgi_application()) if asynchronous else serving_wsgi(get_wsgi_application())
        )
        with server as url:
            yield url

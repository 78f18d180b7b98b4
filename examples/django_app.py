"""A chat room in one file of Django: `python -m uvicorn --app-dir examples django_app:application`.

The project has no database, so a signed cookie says who somebody is, and no CSRF protection. What a real
one has instead: `django.contrib.auth`, `CsrfViewMiddleware`, and the rules in the module `broadcasting` of
an application.
"""

from collections.abc import Callable

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from broadcaster import Event, Member, PresenceChannel, SignIn

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    INSTALLED_APPS=["broadcaster.contrib.django"],
    MIDDLEWARE=[
        "broadcaster.contrib.django.middleware.EchoMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        f"{__name__}.find_user",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="change me",  # noqa: S106 - as it says
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)

from broadcaster.contrib.django import broadcast  # noqa: E402 - it reads the settings


class MessageSent(Event):
    by: str
    text: str

    def broadcast_on(self) -> PresenceChannel:
        return PresenceChannel("rooms.lobby")


@broadcast.channel("rooms.{room}")
def who_is_there(user: str, room: str) -> Member:
    return Member(user, {"name": user})


@broadcast.channel("users.{name}")
def is_oneself(user: str, name: str) -> bool:
    return user == name


broadcast.rules.sign_in(SignIn)


class User(str):
    is_authenticated = property(bool)


def find_user(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        request.user = User(request.session.get("name", ""))
        return get_response(request)

    return middleware


def login(request: HttpRequest) -> HttpResponse:
    request.session["name"] = request.POST["name"]
    return HttpResponse(status=204)


def say(request: HttpRequest) -> HttpResponse:
    broadcast.send(MessageSent(by=request.user, text=request.POST["text"]), to_others=True)
    return HttpResponse(status=204)


urlpatterns = [
    path("login", login),
    path("say", say),
    path("broadcasting/", include("broadcaster.contrib.django.urls")),
]

application = get_asgi_application()

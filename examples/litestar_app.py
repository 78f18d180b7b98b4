"""A chat room in Litestar: `uvicorn --app-dir examples litestar_app:app`."""

from typing import Annotated, Any

from litestar import Litestar, Request, post
from litestar.enums import RequestEncodingType
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import Body

from broadcaster import BroadcastManager, Event, Member, PresenceChannel, SignIn
from broadcaster.contrib.litestar import BroadcastingPlugin

broadcast = BroadcastManager.from_env()


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

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@post("/login", status_code=204)
async def login(request: Request[Any, Any, Any], data: Form) -> None:
    request.session["name"] = data["name"]


@post("/say", status_code=204)
async def say(request: Request[Any, Any, Any], data: Form) -> None:
    await broadcast.asend(MessageSent(by=request.session["name"], text=data["text"]), to_others=True)


plugin = BroadcastingPlugin(broadcast, user=lambda request: request.session.get("name"))
session = CookieBackendConfig(secret=b"change me please")
app = Litestar([login, say], plugins=[plugin], middleware=[session.middleware])

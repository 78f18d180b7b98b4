"""A chat room in FastAPI: `uvicorn --app-dir examples fastapi_app:app`."""

from typing import Annotated

from fastapi import FastAPI, Form, Request
from starlette.middleware.sessions import SessionMiddleware

from broadcaster import BroadcastManager, Event, Member, PresenceChannel, SignIn
from broadcaster.contrib.fastapi import SocketMiddleware, broadcasting_router

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


def current_user(request: Request) -> str | None:
    return request.session.get("name")


app = FastAPI()
app.include_router(broadcasting_router(broadcast, user=current_user))
app.add_middleware(SocketMiddleware)
app.add_middleware(SessionMiddleware, secret_key="change me")  # noqa: S106 - as it says


@app.post("/login", status_code=204)
def login(request: Request, name: Annotated[str, Form()]) -> None:
    request.session["name"] = name


@app.post("/say", status_code=204)
async def say(request: Request, text: Annotated[str, Form()]) -> None:
    await broadcast.asend(MessageSent(by=request.session["name"], text=text), to_others=True)

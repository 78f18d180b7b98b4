"""A chat room in Flask: `flask --app examples/flask_app.py run`."""

from flask import Flask, request, session

from broadcaster import Event, Member, PresenceChannel, SignIn
from broadcaster.contrib.flask import Broadcasting

app = Flask(__name__)
app.secret_key = "change me"  # noqa: S105 - as it says
broadcasting = Broadcasting(app)


class MessageSent(Event):
    by: str
    text: str

    def broadcast_on(self) -> PresenceChannel:
        return PresenceChannel("rooms.lobby")


@broadcasting.channel("rooms.{room}")
def who_is_there(user: str, room: str) -> Member:
    return Member(user, {"name": user})


@broadcasting.channel("users.{name}")
def is_oneself(user: str, name: str) -> bool:
    return user == name


broadcasting.user(lambda: session.get("name"))
broadcasting.rules.sign_in(SignIn)


@app.post("/login")
def login() -> tuple[str, int]:
    session["name"] = request.form["name"]
    return "", 204


@app.post("/say")
def say() -> tuple[str, int]:
    broadcasting.send(MessageSent(by=session["name"], text=request.form["text"]), to_others=True)
    return "", 204

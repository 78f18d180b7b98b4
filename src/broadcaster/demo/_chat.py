"""The Python of the demo, all of it: one event, and the line that sends it."""

from datetime import datetime

from broadcaster import BroadcastManager, Event, PrivateChannel, current_socket


class MessageSent(Event):
    """Browsers receive these fields, as JSON."""

    user_id: str
    name: str
    text: str
    sent_at: datetime

    def broadcast_on(self) -> PrivateChannel:
        """Only browsers that the application lets in can hear it."""
        return PrivateChannel("demo")


def say(broadcast: BroadcastManager, message: MessageSent, *, socket_id: str | None) -> None:
    """Tell everybody but the window that *message* came from."""
    with current_socket(socket_id):
        broadcast.send(message, to_others=True)

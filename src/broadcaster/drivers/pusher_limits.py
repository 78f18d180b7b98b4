"""What a Pusher server takes in one request, checked before anything is sent.

Limits: <https://pusher.com/docs/channels/library_auth_reference/rest-api/>.
"""

from __future__ import annotations

from broadcaster.channels import check_name
from broadcaster.errors import DeliveryError, InvalidChannelName
from broadcaster.messages import Message

__all__ = ["CHANNELS_PER_EVENT", "EVENTS_PER_BATCH", "check_data", "check_names"]

CHANNELS_PER_EVENT = 100
EVENTS_PER_BATCH = 10

_NAME_LENGTH = 200
_RESERVED = ("pusher:", "pusher_internal:")


def check_names(message: Message, *, driver: str) -> None:
    """Raise `DeliveryError` 400, as the server would, for a name that no server takes."""
    name = message.name
    if not name:
        raise _refused("an event needs a name", driver)
    if len(name) > _NAME_LENGTH:
        reason = f"the event name {name[:_NAME_LENGTH]!r}... has {len(name)} characters"
        raise _refused(f"{reason}, {_NAME_LENGTH} are allowed", driver)
    if name.startswith(_RESERVED):
        raise _refused(f"the event name {name!r} has a prefix that is reserved for the protocol", driver)
    try:
        for channel in message.channels:
            check_name(channel)
    except InvalidChannelName as error:
        raise _refused(str(error), driver) from error


def check_data(data: str, *, what: str, limit: int, driver: str) -> None:
    """Raise `DeliveryError` 413, as the server would, for data of more than *limit* bytes.

    *what* names the data in the text.
    """
    try:
        size = len(data.encode())
    except UnicodeEncodeError as error:
        raise _refused("the data holds a lone surrogate, which UTF-8 cannot express", driver) from error
    if size > limit:
        raise DeliveryError(
            f"{what} has {size} bytes, {limit} are allowed: send less, for example an "
            "id by which browsers fetch the rest; where the server takes more, raise PUSHER_MAX_DATA_SIZE",
            driver=driver,
            status=413,
        )


def _refused(reason: str, driver: str) -> DeliveryError:
    return DeliveryError(reason, driver=driver, status=400)

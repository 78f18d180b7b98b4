"""The bytes that reach Redis: a message as Laravel publishes it, and a command."""

from __future__ import annotations

import json

from broadcaster.drivers._laravel import with_socket
from broadcaster.messages import Message

__all__ = ["command", "payload", "publish", "utf8"]

_quoted = json.JSONEncoder(ensure_ascii=False).encode


def payload(message: Message, *, with_id: bool) -> bytes:
    """Return `{"event":...,"data":...,"socket":...}`, where data that is an object holds the socket too.

    *with_id* adds the message's id as the last key. Raises `ValueError` when the data is no JSON.
    """
    socket = _quoted(message.except_socket)
    data = with_socket(message.data, socket)
    last = f',"id":{_quoted(message.id)}' if with_id else ""
    return utf8(f'{{"event":{_quoted(message.name)},"data":{data},"socket":{socket}{last}}}')


def command(*words: bytes) -> bytes:
    """Return one command as Redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def publish(verb: bytes, channel: bytes, text: bytes) -> bytes:
    """Return `command(verb, channel, text)`, sooner: it is what most of the work is."""
    return b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        *(len(verb), verb),
        *(len(channel), channel),
        *(len(text), text),
    )


def utf8(text: str) -> bytes:
    """Encode *text*; half of a surrogate pair, which UTF-8 cannot hold, becomes its JSON escape."""
    return text.encode("utf-8", "backslashreplace")

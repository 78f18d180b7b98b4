import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from broadcaster import ConfigurationError
from broadcaster.server.listening import Listening, bind
from tests.platforms import only_linux

SECONDS = 5.0

shares_a_port = only_linux("no other system shares connections among the sockets of a port")


@contextmanager
def bound(port: int = 0, *, count: int = 1) -> Iterator[list[list[socket.socket]]]:
    with ExitStack() as stack:
        found = bind("127.0.0.1", port, count=count)
        for group in found:
            for one in group:
                stack.enter_context(one)
        yield found


def port_of(group: list[socket.socket]) -> int:
    return int(group[0].getsockname()[1])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


async def test_it_listens_on_any_port_and_then_says_which() -> None:
    listening = Listening("127.0.0.1", 0)

    await listening.open(asyncio.Protocol)

    connect(listening.port).close()
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        connect(listening.port)


async def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        await Listening("192.0.2.1", 0).open(asyncio.Protocol)


async def test_it_listens_on_sockets_that_somebody_has_bound() -> None:
    with bound() as [group]:
        listening = Listening("127.0.0.1", 0, group)

        await listening.open(asyncio.Protocol)

        assert listening.port == port_of(group)
        listening.close()


def test_whoever_is_bound_alone_has_a_port_and_nobody_listens_there_yet() -> None:
    with bound() as [group], pytest.raises(ConnectionRefusedError):
        connect(port_of(group))


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_that_a_stranger_has_is_named_even_if_it_would_be_shared(count: int) -> None:
    with bound(count=2) as [group, _]:
        group[0].listen()

        with (
            pytest.raises(ConfigurationError, match="another program does"),
            bound(port_of(group), count=count),
        ):
            pass


@shares_a_port
def test_new_connections_are_shared_among_those_who_listen() -> None:
    with bound(count=2) as groups, ExitStack() as stack:
        port = port_of(groups[0])
        for group in groups:
            group[0].listen(256)
            group[0].settimeout(0)
        for _ in range(100):
            stack.enter_context(connect(port))

        shares = [accepted(group[0]) for group in groups]

    assert sum(shares) == 100
    assert min(shares) > 20


@shares_a_port
def test_whoever_waits_is_not_lost_with_the_process_that_would_have_taken_him() -> None:
    with bound(count=2) as groups:
        port = port_of(groups[0])
        own = groups[0][0].dup()
        own.listen()
        with connect(port):
            own.close()

            groups[0][0].settimeout(SECONDS)
            groups[0][0].accept()[0].close()


def accepted(listener: socket.socket) -> int:
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1

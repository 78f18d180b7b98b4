import threading

import pytest

from broadcaster import AnonymousEvent, BroadcastError, BroadcastManager, ConfigurationError, Settings
from broadcaster.server import ServerThread
from tests.server.clients import APP, client


def test_events_reach_browsers_from_many_threads_at_once(server: ServerThread) -> None:
    broadcast = BroadcastManager(Settings(default="local"), server=server)
    threads = [
        threading.Thread(target=broadcast.send, args=(AnonymousEvent(f"e{number}", on="lobby"),))
        for number in range(20)
    ]
    with client(server.port) as browser:
        browser.subscribe("lobby")

        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)

        assert {browser.receive()["event"] for _ in threads} == {f"e{number}" for number in range(20)}


def test_what_keeps_the_server_from_starting_is_raised_where_it_was_started(server: ServerThread) -> None:
    with pytest.raises(ConfigurationError, match="another program does"):
        ServerThread([APP], port=server.port).start()


def test_a_thread_is_started_once_and_may_be_started_again_after_a_stop() -> None:
    server = ServerThread([APP], port=0)
    with server, pytest.raises(BroadcastError, match="started already"):
        server.start()
    with server, client(server.port) as browser:
        assert browser.is_alive()


def test_stopping_twice_does_nothing() -> None:
    server = ServerThread([APP], port=0)
    server.start()
    server.stop()

    server.stop()

    assert not [thread for thread in threading.enumerate() if thread.name == "broadcaster-server"]

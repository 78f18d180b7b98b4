from __future__ import annotations

from types import SimpleNamespace

import pika
import pytest

from broadcaster.errors import ConfigurationError
from broadcaster.queues._broker_post import SUSPECT
from broadcaster.queues._broker_rabbitmq import RabbitFailedStore, RabbitSide
from broadcaster.queues.failed import Failed, FailedStore
from tests.ports import free_port
from tests.queues.rabbitmq_server import RabbitServer
from tests.queues.test_failed import FailedStoreContract


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


class TestRabbitFailedStore(FailedStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, rabbit_server: RabbitServer, prefix: str) -> None:
        self.parameters, self.prefix = pika.URLParameters(rabbit_server.url()), prefix

    def store(self) -> FailedStore:
        return RabbitFailedStore(self.parameters, prefix=self.prefix)


def test_on_rabbitmq_the_oldest_makes_room(rabbit_server: RabbitServer, prefix: str) -> None:
    store = RabbitFailedStore(pika.URLParameters(rabbit_server.url()), prefix=prefix, most=2)
    for number in range(3):
        store.add(Failed(b"%d" % number, "no file \udcff", 0.0))

    assert [(kept.body, kept.reason) for kept in store.list()] == [
        (b"2", "no file \\udcff"),
        (b"1", "no file \\udcff"),
    ]


@pytest.mark.usefixtures("litter")
def test_a_store_that_cannot_be_reached_says_so() -> None:
    nobody = pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{free_port()}?connection_attempts=1")

    with pytest.raises(OSError, match="the failed store on RabbitMQ cannot be reached"):
        RabbitFailedStore(nobody, prefix="shop").count()


def test_what_was_handed_out_again_is_counted_each_time_it_is_begun_alone(
    rabbit_server: RabbitServer, prefix: str
) -> None:
    side = RabbitSide(pika.URLParameters(rabbit_server.url()), prefix=prefix, queue_name=str)
    new, old = (
        SimpleNamespace(redelivered=False, message_id="1"),
        SimpleNamespace(redelivered=True, message_id="2"),
    )

    with side.begun() as begun:
        assert begun.begin([new]) == [0]
        assert begun.begin([new, old]) == [0, 0]
    with side.begun() as begun:
        assert begun.begin([new, old]) == [0, SUSPECT]
        assert [begun.begin([old]) for _ in range(2)] == [[2], [3]]
    with side.begun() as begun:
        assert begun.begin([old]) == [4]
        begun.end([new, old])
        assert begun.begin([old, new]) == [0, 0]
        begun.end([old])


def test_a_queue_that_cannot_be_paused_says_so(rabbit_server: RabbitServer) -> None:
    side = RabbitSide(pika.URLParameters(rabbit_server.url()), prefix="shop", queue_name=str)

    for verb in (side.pause, side.resume):
        with pytest.raises(ConfigurationError, match="'mail' cannot be paused on RabbitMQ"):
            verb("mail")
    assert side.paused() == frozenset()


def test_of_a_queue_that_is_not_there_nothing_is_ready(rabbit_server: RabbitServer, prefix: str) -> None:
    side = RabbitSide(
        pika.URLParameters(rabbit_server.url()), prefix=prefix, queue_name=lambda queue: prefix + queue
    )

    assert side.ready(["a", "b"]) == 0
    assert side.sizes() == {}
    assert side.clear("a", lambda body: None) == 0

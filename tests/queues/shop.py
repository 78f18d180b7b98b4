"""An application that runs workers of Celery, or of RQ, already; its Redis is at SHOP_REDIS."""

from __future__ import annotations

import os
from functools import partial

import redis
from celery import Celery

from broadcaster import BroadcastManager, Settings
from broadcaster.queues.celery import CeleryQueue
from broadcaster.queues.rq import RqQueue
from tests.queues.process import Noted

URL = os.environ["SHOP_REDIS"]

app = Celery("shop", broker=URL)

by_celery = BroadcastManager(Settings("scripted"), queue=partial(CeleryQueue, app=app))
by_celery.extend("scripted", lambda: Noted(URL))

by_rq = BroadcastManager(
    Settings("scripted"),
    queue=partial(RqQueue, connection=redis.Redis.from_url(URL), job=f"{__name__}.deliver"),
)
by_rq.extend("scripted", lambda: Noted(URL))


def deliver(body: str) -> None:
    """Do what RQ's jobs of ours are for."""
    assert isinstance(by_rq.queue, RqQueue)
    by_rq.queue.run(body)

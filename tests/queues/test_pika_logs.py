from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from broadcaster.queues._pika_logs import told_once

PIKA = logging.getLogger("pika.adapters.blocking_connection")


def test_what_the_client_says_inside_is_kept_for_who_looks_for_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        with told_once():
            with told_once():
                PIKA.error("inner %s", 1)
            PIKA.error("outer")
        PIKA.error("after")

    assert caplog.record_tuples == [
        ("broadcaster.queue", logging.DEBUG, f"{PIKA.name}: inner 1"),
        ("broadcaster.queue", logging.DEBUG, f"{PIKA.name}: outer"),
        (PIKA.name, logging.ERROR, "after"),
    ]


def test_other_threads_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with told_once(), ThreadPoolExecutor(1) as other:
        other.submit(PIKA.error, "elsewhere").result()

    assert caplog.record_tuples == [(PIKA.name, logging.ERROR, "elsewhere")]

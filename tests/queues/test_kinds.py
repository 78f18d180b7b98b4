from __future__ import annotations

import pytest

from broadcaster.queues.kinds import known_queues
from broadcaster.queues.options import OPTIONS
from tests.programs import python


@pytest.mark.parametrize("engine", ["celery", "rq"])
def test_an_engine_that_is_not_installed_names_its_extra(engine: str) -> None:
    program = f"""
from broadcaster import BroadcastManager, MissingExtra
broadcast = BroadcastManager.from_dict({{"queue": {engine!r}}})
try:
    broadcast.queue
except MissingExtra as missing:
    print(missing)
"""

    for package in (engine, "redis"):
        assert f"pip install 'broadcaster-kit[{engine}]'" in python(program, without=package)


def test_every_queue_that_is_known_has_options() -> None:
    assert known_queues() <= OPTIONS.keys() - {"sync"}

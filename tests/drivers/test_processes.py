from __future__ import annotations

import subprocess
import sys

from broadcaster.drivers._processes import PerProcess


def test_a_value_is_made_once_and_not_before_it_is_used() -> None:
    made: list[int] = []

    def opened() -> object:
        made.append(1)
        return object()

    holder = PerProcess(opened)
    assert holder.held is None
    first = holder.value

    assert first is holder.value is holder.held
    assert made == [1]


def test_what_was_dropped_is_made_again() -> None:
    holder = PerProcess(object)
    first = holder.value

    assert holder.dropped() is first
    assert holder.dropped() is None
    assert holder.value is not first


FORKING = """
import os
from broadcaster.drivers._processes import PerProcess

holder = PerProcess(os.getpid)
parent = holder.value
if os.fork() == 0:
    print(holder.held, holder.value == os.getpid(), flush=True)
    os._exit(0)
os.wait()
print(holder.value == parent)
"""


def test_a_forked_child_makes_its_own() -> None:
    result = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=120, check=True
    )

    assert result.stdout == "None True\nTrue\n"

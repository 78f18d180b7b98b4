from __future__ import annotations

import json
import os
import pty
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broadcaster.__main__ import main
from broadcaster.queues.envelopes import seal
from broadcaster.queues.failed import Failed
from broadcaster.queues.sqlite import SqliteQueue
from tests.programs import broadcaster
from tests.queues.contract import SECONDS, Drivers, envelope

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteQueue]:
    monkeypatch.setenv("BROADCAST_QUEUE", "sqlite")
    monkeypatch.setenv("BROADCAST_QUEUE_FILE", str(tmp_path / "queue.sqlite3"))
    queue = SqliteQueue(Drivers(), file=str(tmp_path / "queue.sqlite3"))
    yield queue
    queue.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `broadcaster queue` in this process; return its exit status and what it prints."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["broadcaster", "queue", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        if isinstance(ended.value.code, str):
            return 1, output.out, output.err + ended.value.code
        return ended.value.code or 0, output.out, output.err

    return run


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def give_up(queue: SqliteQueue, *numbers: int) -> list[str]:
    """Put envelopes into the failed store; return their ids there."""
    return [
        queue.failed.add(
            Failed(seal(envelope(number)), "away\x1b[2J", 1_000.0, "default", "Counted", "scripted")
        )
        for number in numbers
    ]


def test_sizes_are_lines_of_json_where_there_is_no_terminal(queue: SqliteQueue, run: Run) -> None:
    queue.push([envelope(1), envelope(2, delay=60.0)])
    queue.pause("mail")

    status, output, _ = run("size")

    assert status == 0
    assert rows(output) == [
        {"queue": "default", "ready": 1, "delayed": 1, "held": 0, "paused": False},
        {"queue": "mail", "ready": 0, "delayed": 0, "held": 0, "paused": True},
    ]


@pytest.mark.usefixtures("queue")
def test_where_nothing_is_nothing_is_shown(run: Run) -> None:
    assert run("size") == run("failed") == (0, "", "")


def test_a_person_sees_a_table_and_nothing_that_steers_the_terminal(queue: SqliteQueue) -> None:
    give_up(queue, 1)
    file = os.environ["BROADCAST_QUEUE_FILE"]
    ours, theirs = pty.openpty()
    env = {"BROADCAST_QUEUE": "sqlite", "BROADCAST_QUEUE_FILE": file}
    with broadcaster("queue", "failed", stdout=theirs, env=env) as process:
        process.wait(SECONDS)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert "Counted" in shown
    assert "1970-01-01T00:16:40+00:00" in shown
    assert "{" not in shown
    assert "\x1b[2J" not in shown


def test_what_was_given_up_is_listed_the_latest_first(queue: SqliteQueue, run: Run) -> None:
    ids = give_up(queue, 1, 2, 3)

    listed = rows(run("failed", "--most", "2")[1])

    assert [row["id"] for row in listed] == [ids[2], ids[1]]
    assert listed[0] == {
        "id": ids[2],
        "at": "1970-01-01T00:16:40+00:00",
        "event": "Counted",
        "driver": "scripted",
        "queue": "default",
        "reason": "away\x1b[2J",
    }


def test_one_that_was_given_up_waits_again(queue: SqliteQueue, run: Run) -> None:
    ids = give_up(queue, 1, 2)

    assert run("retry", ids[0]) == (0, "1 wait again\n", "")

    assert [kept.id for kept in queue.failed.list()] == [ids[1]]
    assert queue.sizes()["default"].ready == 1


@pytest.mark.parametrize(("command", "said"), [("retry", "2 wait again"), ("forget", "2 forgotten")])
def test_one_that_is_named_twice_is_taken_once(queue: SqliteQueue, run: Run, command: str, said: str) -> None:
    ids = give_up(queue, 1, 2)

    assert run(command, ids[0], ids[1], ids[0], f"0{ids[1]}") == (0, f"{said}\n", "")

    assert queue.failed.count() == 0
    assert sum(size.ready for size in queue.sizes().values()) == (2 if command == "retry" else 0)


def test_all_that_was_given_up_waits_again_the_earliest_first(queue: SqliteQueue, run: Run) -> None:
    give_up(queue, 3, 1, 2)

    assert run("retry", "--all") == (0, "3 wait again\n", "")

    with queue._file.read() as connection:
        messages = connection.execute("SELECT message FROM jobs ORDER BY due, id").fetchall()
    assert messages == [("message-3",), ("message-1",), ("message-2",)]
    assert run("retry", "--all") == (0, "0 wait again\n", "")


def test_what_cannot_be_read_stays(queue: SqliteQueue, run: Run) -> None:
    failed_id = queue.failed.add(Failed(b"nonsense", "it is not JSON", time.time()))

    assert run("retry", "--all") == (
        1,
        "0 wait again\n",
        f"broadcaster: these cannot be read, and stay: {failed_id}",
    )


def test_what_was_given_up_is_forgotten(queue: SqliteQueue, run: Run) -> None:
    ids = give_up(queue, 1, 2, 3)

    assert run("forget", ids[1])[1] == "1 forgotten\n"
    assert [kept.id for kept in queue.failed.list()] == [ids[2], ids[0]]
    assert run("flush")[1] == "2 forgotten\n"
    assert queue.failed.count() == 0


def test_a_queue_is_cleared(queue: SqliteQueue, run: Run) -> None:
    queue.push([envelope(1), envelope(2)])

    assert run("clear", "default", "mail")[1] == "2 dropped\n"
    assert queue.sizes() == {}


def test_a_queue_is_paused_and_resumed(queue: SqliteQueue, run: Run) -> None:
    assert run("pause", "default", "mail")[1] == "paused: default, mail\n"
    assert sorted(queue.sizes()) == ["default", "mail"]
    assert run("resume", "default")[1] == "resumed: default\n"
    assert sorted(queue.sizes()) == ["mail"]


@pytest.mark.parametrize("command", ["retry", "forget"])
@pytest.mark.usefixtures("queue")
def test_an_id_that_is_none_is_told(run: Run, command: str) -> None:
    status, _, errors = run(command, "77")

    assert status == 1
    assert errors == (
        "broadcaster: nothing was given up under the id '77'; `broadcaster queue failed` lists them"
    )


@pytest.mark.parametrize("options", [[], ["7", "--all"]])
@pytest.mark.usefixtures("queue")
def test_what_is_to_be_sent_again_is_named(run: Run, options: list[str]) -> None:
    status, _, errors = run("retry", *options)

    assert status == 2
    assert "name ids, or --all" in errors


def test_a_queue_without_workers_has_nothing_to_show(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_QUEUE", "memory")

    status, _, errors = run("size")

    assert status == 1
    assert "nobody else can see it" in errors


def test_what_programs_read_is_json_whatever_colours_are_wished_for(
    queue: SqliteQueue, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.push([envelope(1)])
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")

    assert rows(run("size")[1])[0]["ready"] == 1


def test_queues_may_be_named_as_a_worker_takes_them(queue: SqliteQueue, run: Run) -> None:
    assert run("pause", "mail, default", "news") == (0, "paused: mail, default, news\n", "")
    assert {name for name, size in queue.sizes().items() if size.paused} == {"default", "mail", "news"}
    assert run("resume", "mail,news")[0] == run("clear", "mail,news")[0] == 0
    assert [name for name, size in queue.sizes().items() if size.paused] == ["default"]


def test_what_was_given_up_is_found_by_the_id_of_its_message_as_well(queue: SqliteQueue, run: Run) -> None:
    give_up(queue, 1, 2)
    queue.failed.add(Failed(b"no envelope", "away", 1_000.0))

    # Another driver of the same message.
    queue.failed.add(Failed(seal(replace(envelope(2), driver="other")), "away", 1_000.0))

    assert run("retry", "message-2") == (0, "2 wait again\n", "")
    assert run("forget", "message-1") == (0, "1 forgotten\n", "")
    assert run("forget", "message-3")[0] == 1
    assert (queue.failed.count(), queue.sizes()["default"].ready) == (1, 2)

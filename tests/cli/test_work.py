from __future__ import annotations

import io
import json
import logging
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from broadcaster import AnonymousEvent, BroadcastManager, ShouldQueue
from broadcaster.__main__ import main
from broadcaster.cli._progress import _Printed
from tests.drivers.redis_servers import RedisServer
from tests.programs import broadcaster
from tests.queues.contract import SECONDS
from tests.queues.worked_shop import Shop
from tests.waits import until


class Later(AnonymousEvent, ShouldQueue):
    pass


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def ended(*arguments: str, folder: Path, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Return the exit status of `broadcaster` with *arguments*, and what it prints."""
    with broadcaster(*arguments, stdout=subprocess.PIPE, env=env, folder=folder) as process:
        output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


def test_every_job_is_a_line_of_json_where_there_is_no_terminal(shop: Shop) -> None:
    shop.send("bread", "refuse")

    status, output, _ = ended("work", "--app", "shop:broadcast", "--stop-when-empty", folder=shop.folder)

    first, second = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    assert (first["verdict"], first["event"], first["driver"]) == ("delivered", "Ordered", "pages")
    assert (first["queue"], first["attempt"], len(first["id"])) == ("default", 1, 32)
    assert second["verdict"] == "failed"
    assert second["reason"] == "driver 'pages': refused"
    assert "bread" not in output


def test_a_stdout_that_is_not_in_utf_8_gets_the_same() -> None:
    program = "from broadcaster.cli._shown import write_line; write_line({'event': '\\u6ce8\\u6587'})"

    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )

    assert json.loads(shown.stdout) == {"event": "\u6ce8\u6587"}


def test_the_drivers_and_hooks_of_the_application_are_there(shop: Shop) -> None:
    shop.send("refuse")

    ended("work", "--app", "shop:broadcast", "--stop-when-empty", folder=shop.folder)

    assert len(shop.lines("failed", "refuse")) == 1


def test_settings_come_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("BROADCAST_QUEUE=sqlite\nBROADCAST_QUEUE_FILE=waiting.sqlite3\n")

    status, _, errors = ended("work", "--env-file", "my.env", "--once", folder=tmp_path)

    assert (status, errors) == (0, "broadcaster: working on default; Ctrl-C ends it\n")
    assert (tmp_path / "waiting.sqlite3").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_finish_what_it_holds(shop: Shop, number: signal.Signals) -> None:
    shop.send("wait")
    with shop.work() as worker:
        shop.until("begun")
        worker.send_signal(number)
        assert worker.stderr is not None
        shop.let_go()
        status = worker.wait(SECONDS)

    assert status == 0
    assert len(shop.lines("delivered")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_is_loaded_ends_it_well(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text(
        "import threading\nfrom pathlib import Path\nPath('begun').touch()\nthreading.Event().wait(60)\n"
    )
    with broadcaster("work", "--app", "slow:broadcast", folder=tmp_path) as worker:
        until((tmp_path / "begun").exists)

        worker.send_signal(number)

        assert worker.wait(SECONDS) == 0


def test_what_it_cannot_finish_in_its_grace_is_given_back(shop: Shop) -> None:
    shop.send("wait")
    with shop.work("--grace", "0.1") as worker:
        shop.until("begun")
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=SECONDS)

    assert worker.returncode == 0
    assert "the time is over, and 1 events were given back to their queue" in errors
    assert '"ready":1' in shop.queue("size")


def test_a_second_signal_ends_it_at_once(shop: Shop) -> None:
    shop.send("wait")
    with shop.work() as worker:
        shop.until("begun")
        worker.send_signal(signal.SIGTERM)
        until(lambda: signalled(worker))

    # Of two that come together, Python tells the lower number first.
    assert worker.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}


def test_a_person_sees_how_many_there_were_and_nothing_that_steers_the_terminal(shop: Shop) -> None:
    shop.send("bread", "butter", "refuse\x1b[2J")
    ours, theirs = pty.openpty()
    options = ("work", "--app", "shop:broadcast", "--stop-when-empty")
    with broadcaster(*options, stdout=theirs, folder=shop.folder) as process:
        process.wait(SECONDS)
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert "2 delivered, 1 given up" in shown
    assert "'Ordered' was given up" in shown
    assert "\x1b[2J" not in shown


Refusal = Callable[..., str]


@pytest.fixture
def refusal(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Run `broadcaster work` beside the application, in this process; return what it says at its end."""
    monkeypatch.chdir(shop.folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "shop", raising=False)

    def refusal(*arguments: str, status: int) -> str:
        monkeypatch.setattr(sys, "argv", ["broadcaster", "work", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = ended.value.code
        assert (1 if isinstance(said, str) else said) == status
        return said if isinstance(said, str) else capsys.readouterr().err

    return refusal


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("sync", "without a queue, send() delivers itself"),
        ("memory", "nobody else can see it"),
    ],
)
def test_a_queue_without_workers_is_told_with_the_reason(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch, kind: str, reason: str
) -> None:
    monkeypatch.setenv("BROADCAST_QUEUE", kind)

    said = refusal(status=1)

    assert said.startswith("broadcaster: there is nothing to work on: ")
    assert reason in said


def test_a_manager_that_did_not_read_the_environment_is_told(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("made.py").write_text("from broadcaster import BroadcastManager\nbroadcast = BroadcastManager()\n")
    monkeypatch.setenv("BROADCAST_QUEUE", "sqlite")

    said = refusal("--app", "made:broadcast", status=1)

    assert "did not read BROADCAST_QUEUE=sqlite; make it with BroadcastManager.from_env()" in said


def test_a_driver_that_cannot_be_made_is_told_and_nothing_is_given_up_for_it(shop: Shop) -> None:
    shop.send("bread")
    env = {
        "BROADCAST_QUEUE": "sqlite",
        "BROADCAST_QUEUE_FILE": "queue.sqlite3",
        "BROADCAST_DRIVER": "local",
    }

    status, _, errors = ended("work", "--stop-when-empty", env=env, folder=shop.folder)

    assert (status, len(errors.splitlines())) == (1, 1)
    assert "'local'" in errors
    assert '"ready":1' in shop.queue("size")


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("shop", "write module:attribute"),
        ("nowhere:broadcast", "there is no module 'nowhere' here"),
        ("nowhere.deep:broadcast", "there is no module 'nowhere' here"),
        ("shop:nothing", "'shop' has no 'nothing'"),
        ("shop:Pages", "is a ABCMeta, and no BroadcastManager"),
    ],
)
def test_an_application_that_is_none_is_told(refusal: Refusal, app: str, reason: str) -> None:
    said = refusal("--app", app, status=1)

    assert reason in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "options", [["--queue", " , "], ["--concurrency", "0"], ["--app", "a:b", "--env-file", "shop.py"]]
)
def test_options_that_make_no_sense_are_refused(refusal: Refusal, options: list[str]) -> None:
    assert options[-2] in refusal(*options, status=2)


def test_what_an_application_lacks_itself_has_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import surely_not_installed\n")

    _, _, errors = ended("work", "--app", "broken:broadcast", folder=tmp_path)

    assert "Traceback" in errors
    assert "surely_not_installed" in errors


def test_where_nobody_reads_what_it_prints_it_ends_in_order(shop: Shop) -> None:
    shop.send("bread")
    reads, writes = os.pipe()
    os.close(reads)
    with broadcaster("work", "--app", "shop:broadcast", stdout=writes, folder=shop.folder) as process:
        os.close(writes)
        _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert "Traceback" not in errors
    assert shop.queue("size") == ""


def signalled(worker: subprocess.Popen[str]) -> bool:
    """Whether *worker* has ended; a signal for it if not."""
    worker.send_signal(signal.SIGINT)
    return worker.poll() is not None


# What changes


def test_with_reload_it_starts_again_when_the_application_changes(shop: Shop) -> None:
    with shop.work("--reload") as parent:
        shop.send("first")
        shop.until("delivered", "first")
        application = shop.folder / "shop.py"
        application.write_text(application.read_text().replace('f"delivered', 'f"delivered anew'))
        assert parent.stderr is not None
        until(lambda: "files have changed" in parent.stderr.readline())  # type: ignore[union-attr]
        shop.send("second")
        shop.until("delivered anew", "second")

        parent.send_signal(signal.SIGTERM)

        assert parent.wait(SECONDS) == 0


@contextmanager
def mistaken(shop: Shop) -> Iterator[tuple[subprocess.Popen[str], Callable[[], object]]]:
    """Have `--reload` come upon a mistake; lend the process, and what puts the mistake right."""
    application = shop.folder / "shop.py"
    right = application.read_text()
    application.write_text("nonsense(")
    with shop.work("--reload") as parent:
        assert parent.stderr is not None
        until(lambda: "SyntaxError" in parent.stderr.readline())  # type: ignore[union-attr]
        yield parent, lambda: application.write_text(right)


def test_with_reload_a_mistake_is_waited_out(shop: Shop) -> None:
    with mistaken(shop) as (parent, mend):
        mend()
        shop.send("first")
        shop.until("delivered", "first")

        parent.send_signal(signal.SIGINT)

        assert parent.wait(SECONDS) == 0


def test_with_reload_what_ends_by_itself_has_ended(shop: Shop) -> None:
    shop.send("first")
    with shop.work("--reload", "--once") as parent:
        assert parent.wait(SECONDS) == 0

    assert len(shop.lines("delivered")) == 1


@pytest.fixture
def hangup(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start programs where a terminal that is closed matters, as by default, or as `nohup` does."""
    before = signal.signal(signal.SIGHUP, request.param)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("hangup", [signal.SIG_DFL], indirect=True)
@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_with_reload_a_signal_starts_nothing_again(shop: Shop, number: signal.Signals) -> None:
    with mistaken(shop) as (parent, mend):
        parent.send_signal(number)
        mend()

        # The mistake may have ended it before.
        assert parent.wait(SECONDS) in {0, 1}
        assert parent.stderr is not None
        assert "working on" not in parent.stderr.read()


@pytest.mark.parametrize("hangup", [signal.SIG_DFL], indirect=True)
@pytest.mark.usefixtures("hangup")
def test_with_reload_a_terminal_that_is_closed_ends_the_worker_too(shop: Shop) -> None:
    with shop.work("--reload") as parent:
        assert parent.stderr is not None
        until(lambda: "working on" in parent.stderr.readline())  # type: ignore[union-attr]

        parent.send_signal(signal.SIGHUP)

        assert parent.wait(SECONDS) == 0


@pytest.mark.parametrize("hangup", [signal.SIG_IGN], indirect=True)
@pytest.mark.usefixtures("hangup")
def test_with_reload_a_terminal_that_is_closed_is_no_matter_where_that_is_wished_for(shop: Shop) -> None:
    with shop.work("--reload") as parent:
        assert parent.stderr is not None
        until(lambda: "working on" in parent.stderr.readline())  # type: ignore[union-attr]

        parent.send_signal(signal.SIGHUP)
        shop.send("first")
        shop.until("delivered", "first")
        parent.send_signal(signal.SIGTERM)

        assert parent.wait(SECONDS) == 0


def test_what_cannot_be_logged_on_a_terminal_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    handler = _Printed(Console(file=io.StringIO()))

    handler.handle(logging.LogRecord("shop", logging.WARNING, "shop.py", 1, "%d", ("x",), None))

    assert "Logging error" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["rq", "celery", "dramatiq"])
@pytest.mark.parametrize("option", ["--grace=0", "--once"])
def test_a_worker_waits_for_a_broker_that_is_away_when_it_starts(
    engine: str, option: str, tmp_path: Path
) -> None:
    with RedisServer(tmp_path, password=None) as server:
        server.stop()
        env = {"BROADCAST_QUEUE": engine, "BROADCAST_QUEUE_URL": server.url(), "BROADCAST_DRIVER": "null"}
        with broadcaster("work", option, env=env, stdout=subprocess.PIPE) as worker:
            assert worker.stderr is not None
            until(lambda: "Connection refused" in worker.stderr.readline())  # type: ignore[union-attr]
            server.start()
            with BroadcastManager.from_dict(
                {"driver": "null", "queue": {"engine": engine, "url": server.url()}}
            ) as shop:
                shop.send(Later("ping", on="pings"))
            assert worker.stdout is not None
            until(lambda: '"delivered"' in worker.stdout.readline())  # type: ignore[union-attr]
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(SECONDS) == 0

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from broadcaster.queues.working import WorkOptions

from .files import DEPLOY, unit, unit_command

UNITS = ("broadcaster", "broadcaster-worker")
SECONDS = 30


@pytest.fixture(params=UNITS)
def installed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A unit, with programs that are here in place of those that it is to be installed beside."""
    program = tmp_path / "broadcaster"
    program.symlink_to("/bin/true")
    path = tmp_path / f"{request.param}.service"
    unit_text = (DEPLOY / "systemd" / path.name).read_text()
    path.write_text(unit_text.replace(unit_command(request.param)[0], str(program)))
    return path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *words]
    env = os.environ | {"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=env)


def test_systemd_finds_nothing_wrong_with_the_unit(installed: Path) -> None:
    result = analyze("verify", str(installed))

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_systemd_would_find_a_setting_that_is_misspelled(installed: Path) -> None:
    installed.write_text(installed.read_text().replace("TimeoutStopSec", "TimeoutStopSeconds"))

    assert "'TimeoutStopSeconds' in section" in analyze("verify", str(installed)).stderr


def test_what_it_may_do_is_little(installed: Path) -> None:
    result = analyze("security", "--offline=yes", "--threshold=20", str(installed))

    assert result.returncode == 0, result.stdout
    assert re.search(rf"exposure level for {re.escape(installed.name)}: 1\.\d OK", result.stdout)


def test_it_is_stopped_reloaded_and_started_again_as_the_server_expects() -> None:
    settings = unit()

    assert settings["KillSignal"] == ["SIGTERM"]
    assert settings["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert settings["Restart"] == ["on-failure"]
    assert int(settings["TimeoutStopSec"][0]) > 35
    assert int(settings["LimitNOFILE"][0]) >= 65_536


def test_a_worker_has_more_time_to_stop_than_its_grace() -> None:
    settings = unit("broadcaster-worker")

    assert (settings["KillSignal"], settings["Restart"]) == (["SIGTERM"], ["on-failure"])
    assert int(settings["TimeoutStopSec"][0]) > WorkOptions().grace


def test_what_it_writes_is_in_its_own_folder() -> None:
    words = unit_command()

    assert words[words.index("--webhook-buffer") + 1].startswith("${STATE_DIRECTORY}/")
    assert unit()["StateDirectory"] == ["broadcaster"]


def test_no_secret_is_in_the_unit() -> None:
    assert unit()["EnvironmentFile"] == ["/etc/broadcaster/broadcaster.env"]
    assert unit("broadcaster-worker")["EnvironmentFile"] == ["/etc/broadcaster/worker.env"]
    assert "Environment" not in unit()

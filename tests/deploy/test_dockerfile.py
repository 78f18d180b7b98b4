from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.children import START, Child
from tests.server.clients import plain

from .files import DEPLOY, ROOT, dockerfile
from .nodes import clean_environment

SECONDS = 240


def test_hadolint_finds_nothing_wrong() -> None:
    command = [str(Path(sys.executable).with_name("hadolint")), str(DEPLOY / "Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert (result.returncode, result.stdout) == (0, ""), result.stdout


def test_the_last_stage_is_the_server_and_nobody_runs_as_root() -> None:
    stages = dockerfile()

    assert list(stages)[-1] == "server"
    for name in ("server", "example"):
        assert stages[name].parent == "base"
        assert not stages[name].all("USER")
    assert stages["base"].all("USER") == ["10001:10001"]
    assert stages["base"].all("STOPSIGNAL") == ["SIGTERM"]


def test_nothing_is_copied_that_the_ignore_file_keeps_out() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert set(copied("build") + copied("example")) == allowed


def copied(stage: str) -> list[str]:
    """Return the files and folders of the repository that a stage copies."""
    words = [argument.split() for argument in dockerfile()[stage].all("COPY")]
    return [source for one in words if not one[0].startswith("--from") for source in one[:-1]]


def built(folder: Path, *stages: str) -> Path:
    """Do in *folder* what the *stages* do in an image; return the programs of what they made."""
    source, made = folder / "src", folder / "made"
    source.mkdir()
    env = clean_environment() | {"UV_PROJECT_ENVIRONMENT": str(made), "UV_PYTHON": sys.executable}
    for stage in stages:
        for instruction, argument in dockerfile()[stage].instructions:
            match instruction:
                case "COPY":
                    for name in argument.split()[:-1]:
                        _copy(ROOT / name, source / name)
                case "RUN" if argument.startswith("uv "):
                    subprocess.run(
                        ["sh", "-c", argument], cwd=source, env=env, check=True, timeout=SECONDS,
                        stdin=subprocess.DEVNULL,
                    )  # fmt: skip
    shutil.rmtree(source)
    return made / "bin"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("server"), "build")


def test_the_server_that_is_built_answers_what_its_health_check_asks(programs: Path) -> None:
    (health,) = dockerfile()["server"].all("HEALTHCHECK")
    words = re.findall(r'"([^"]*)"', health.partition("CMD")[2])

    child = Child(
        str(programs / "broadcaster"), "serve", "--dev", "--port", "0", env=clean_environment(), stdout=None
    )
    try:
        port = int(child.hear(r"listening on http://127\.0\.0\.1:(\d+)", seconds=START)[1])
        assert plain(port, "GET", "/livez").status == 200
        asked = [str(programs / words[0]), *(word.replace(":6001/", f":{port}/") for word in words[1:])]
        assert subprocess.run(asked, timeout=START, check=False).returncode == 0
    finally:
        child.end(signal.SIGTERM)


def test_the_server_that_is_built_has_every_extra_that_it_needs(programs: Path) -> None:
    wanted = "import hiredis, httptools, prometheus_client, redis, typer, uvloop, websockets, broadcaster"

    command = [str(programs / "python"), "-c", f"{wanted}; print(broadcaster.__file__)"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=START, check=True, cwd="/")

    assert Path(result.stdout).is_relative_to(programs.parent)


def test_the_example_that_is_built_can_be_started(tmp_path: Path) -> None:
    programs = built(tmp_path, "build", "build-example")
    words = dockerfile()["example"].words("CMD")
    variables = {"BROADCAST_DRIVER": "null"}

    shutil.copy(ROOT / copied("example")[0], tmp_path)
    command = [str(programs / words[0]), *(word.replace("0.0.0.0", "127.0.0.1") for word in words[1:-1])]
    command[command.index("--port") + 1] = "0"
    child = Child(
        *command, "--app-dir", str(tmp_path), words[-1], env=clean_environment() | variables, stdout=None
    )
    try:
        port = int(child.hear(r"running on http://127\.0\.0\.1:(\d+)", seconds=START)[1])
        assert plain(port, "POST", "/login").status == 422
    finally:
        child.end(signal.SIGTERM)

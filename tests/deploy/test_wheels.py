import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.files import ROOT
from tests.deploy.nodes import clean_environment

SECONDS = 300.0
COMPILED = "broadcaster/server/_outbox.abi3.so"


def wheel(folder: Path, **variables: str) -> Path:
    """Build a wheel into *folder*."""
    subprocess.run(
        ["uv", "build", "--quiet", "--wheel", f"--out-dir={folder}", f"--python={sys.executable}"],
        cwd=ROOT, env={**clean_environment(), **variables}, check=True, timeout=SECONDS,
    )  # fmt: skip
    [built] = folder.glob("*.whl")
    return built


def accelerated(built: Path, folder: Path) -> str:
    """Install a wheel into *folder*, and ask it whether it has the part in C."""
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    source = "from broadcaster.server import outbox; print(outbox.__file__, outbox.ACCELERATED)"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    said = subprocess.run(
        [sys.executable, "-c", source], env=env, check=True, capture_output=True, text=True, timeout=SECONDS
    )
    path, answer = said.stdout.split()
    assert Path(path).is_relative_to(folder)
    return answer


def test_a_wheel_for_this_machine_has_the_part_in_c(tmp_path: Path) -> None:
    built = wheel(tmp_path / "dist")

    assert "-cp311-abi3-" in built.name
    assert accelerated(built, tmp_path / "installed") == "True"


@pytest.mark.parametrize(
    "variables", [{"BROADCAST_PURE_PYTHON": "1"}, {"CC": "false"}], ids=["not wanted", "no compiler"]
)
def test_a_wheel_without_it_runs_everywhere(tmp_path: Path, variables: dict[str, str]) -> None:
    built = wheel(tmp_path / "dist", **variables)

    assert built.name.endswith("-py3-none-any.whl")
    assert COMPILED not in zipfile.ZipFile(built).namelist()
    assert accelerated(built, tmp_path / "installed") == "False"

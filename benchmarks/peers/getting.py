"""Software of others, fetched once into a folder of its own: nothing of it is installed anywhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from benchmarks.running import NotHere

__all__ = ["debian", "npm", "python"]

_FOLDER = Path(__file__).parents[2] / ".nox" / "benchmarks"
_SECONDS = 600.0


@cache
def python(name: str, *requirements: str) -> str:
    """Return the Python of an environment with *requirements*; raise `NotHere` if it cannot be had."""
    folder = _FOLDER / name
    program = str(folder / "bin" / "python")
    if not _is_fetched(folder, requirements):
        _run(["uv", "venv", "--quiet", "--clear", str(folder)], _FOLDER)
        _run(["uv", "pip", "install", "--quiet", f"--python={program}", *requirements], _FOLDER)
        _remember(folder, requirements)
    return program


@cache
def npm(name: str, packages: tuple[tuple[str, str], ...], **overrides: str) -> Path:
    """Return a folder with *packages* in its `node_modules`; raise `NotHere` if they cannot be had."""
    folder = _FOLDER / name
    wanted = {"private": True, "dependencies": dict(packages), "overrides": overrides}
    if not _is_fetched(folder, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps(wanted), "utf-8")
        _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        _remember(folder, wanted)
    return folder


@cache
def debian(package: str) -> Path:
    """Return a folder with the files of a Debian *package*; raise `NotHere` if it cannot be had."""
    folder = _FOLDER / package
    if not _is_fetched(folder, package):
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "-qq", package], folder)
        for archive in folder.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(archive), "."], folder)
        _remember(folder, package)
    return folder


def _is_fetched(folder: Path, wanted: object) -> bool:
    note = folder / "fetched.json"
    return note.exists() and note.read_text("utf-8") == json.dumps(wanted)


def _remember(folder: Path, wanted: Sequence[str] | Mapping[str, object]) -> None:
    (folder / "fetched.json").write_text(json.dumps(wanted), "utf-8")


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise NotHere(f"there is no {command[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["without a word"]
        raise NotHere(f"{command[0]} has ended with {error.returncode}: {said[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"{command[0]} has taken more than {_SECONDS:g} s") from error

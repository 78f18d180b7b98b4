"""Node running one of the programs here, which plays what it is given, one job at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .children import Child

__all__ = ["Player", "chromium"]

HERE = Path(__file__).parent


class Player:
    """The *script* of this folder, with its *arguments*."""

    def __init__(self, script: str, *arguments: str) -> None:
        if not (HERE / "node_modules").is_dir():
            pytest.fail(f"the npm packages are missing: run `npm ci` in {HERE}", pytrace=False)
        self._child = Child(_program("node"), str(HERE / script), *arguments)

    def play(self, job: Mapping[str, Any], *, seconds: float) -> str | None:
        """Return what went wrong with *job*, or None."""
        self._child.say(json.dumps(job))
        outcome: dict[str, str | None] = json.loads(self._child.hear(r"^\{.*\}$", seconds=seconds)[0])
        return outcome["failure"]

    def close(self) -> None:
        """Let the program end by itself."""
        self._child.end()


def chromium() -> str:
    """Return where Chromium is; fail the test where there is none."""
    return _program("chromium", "chromium-browser", "google-chrome")


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.fail(f"no {' or '.join(names)} on the PATH", pytrace=False)

"""The official server SDKs publish to `broadcaster serve` and ask it about its channels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Runtime

SCENARIOS = sorted(path.stem for path in Path(__file__).parent.glob("scenarios/sdks/*.js"))
# The Python SDK cannot ask for `info`; to terminate, it asks for a path without the application's id.
NOT_IN_PYTHON = {"terminate_user_connections", "trigger_info"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_npm(node: Runtime, scenario: str) -> None:
    node.play(f"sdks/{scenario}", sdk="npm")


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in NOT_IN_PYTHON])
def test_with_python(node: Runtime, scenario: str) -> None:
    node.play(f"sdks/{scenario}", sdk="python")

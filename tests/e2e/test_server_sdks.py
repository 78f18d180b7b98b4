"""The official server SDKs, and our driver, publish to `broadcaster serve` and ask it about its channels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Runtime

SCENARIOS = sorted(path.stem for path in Path(__file__).parent.glob("scenarios/sdks/*.js"))
# The Python SDK cannot ask for `info`; to terminate, it asks for a path without the application's id.
NOT_IN_PYTHON = {"terminate_user_connections", "trigger_info"}
# A batch of drivers is of messages, which ask for nothing.
NOT_IN_DRIVER = {"trigger_info"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_npm(node: Runtime, scenario: str) -> None:
    node.play(f"sdks/{scenario}", sdk="npm")


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in NOT_IN_PYTHON])
def test_with_python(node: Runtime, scenario: str) -> None:
    node.play(f"sdks/{scenario}", sdk="python")


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in NOT_IN_DRIVER])
def test_with_our_driver(node: Runtime, scenario: str) -> None:
    node.play(f"sdks/{scenario}", sdk="driver")

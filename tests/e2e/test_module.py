"""The module that the server hands out, in Chromium, on a page of another origin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Runtime

SCENARIOS = sorted(path.stem for path in Path(__file__).parent.glob("scenarios/module/*.js"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_chromium(chromium: Runtime, scenario: str) -> None:
    chromium.play(f"module/{scenario}")

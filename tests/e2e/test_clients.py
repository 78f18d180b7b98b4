"""pusher-js and laravel-echo, as npm delivers them, against `broadcaster serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Runtime

SCENARIOS = sorted(path.stem for path in Path(__file__).parent.glob("scenarios/clients/*.js"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_node(node: Runtime, scenario: str) -> None:
    node.play(f"clients/{scenario}")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_chromium(chromium: Runtime, scenario: str) -> None:
    chromium.play(f"clients/{scenario}")

from __future__ import annotations

import pytest

from broadcaster.cluster.local import Board, LocalRoster
from broadcaster.cluster.roster import Roster

from .rosters import RosterContract


class TestLocalRoster(RosterContract):
    @pytest.fixture(autouse=True)
    def _together(self) -> None:
        self.board = Board()

    def roster(self) -> Roster:
        return LocalRoster(self.board, pause=0.01)

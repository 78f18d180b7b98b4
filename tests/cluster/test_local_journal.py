from __future__ import annotations

import pytest

from broadcaster.cluster.bus import LocalBus
from broadcaster.cluster.local_journal import LocalJournal, Shelf

from .journals import JournalContract, JournalNode


class TestLocalJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _together(self) -> None:
        self.shelf = Shelf()

    def node(self) -> JournalNode:
        return JournalNode(LocalBus(), LocalJournal(self.shelf))

from __future__ import annotations

from abc import ABC, abstractmethod

from broadcaster.queues.failed import Failed, FailedStore, MemoryFailedStore


class FailedStoreContract(ABC):
    """What every store of what failed keeps."""

    @abstractmethod
    def store(self) -> FailedStore:
        """Return one that is empty."""

    def test_what_failed_is_kept_newest_first(self) -> None:
        store = self.store()
        ids = [store.add(Failed(b"%d" % n, "away", float(n), "mail", "Said", "pusher")) for n in range(3)]

        assert [(kept.id, kept.body, kept.at) for kept in store.list()] == [
            (ids[2], b"2", 2.0),
            (ids[1], b"1", 1.0),
            (ids[0], b"0", 0.0),
        ]
        assert len(store.list(most=2)) == 2
        found = store.find(ids[1])
        assert found == Failed(b"1", "away", 1.0, "mail", "Said", "pusher", ids[1])

    def test_one_or_all_are_forgotten(self) -> None:
        store = self.store()
        ids = [store.add(Failed(b"x", "away", 0.0)) for _ in range(3)]

        assert [store.forget(ids[0]), store.forget(ids[0])] == [True, False]
        assert store.find(ids[0]) is None
        assert (store.count(), store.flush(), store.count()) == (2, 2, 0)

    def test_a_body_may_hold_any_byte(self) -> None:
        store = self.store()
        failed_id = store.add(Failed(bytes(range(256)), "no envelope", 0.0))

        found = store.find(failed_id)

        assert found is not None
        assert found.body == bytes(range(256))


class TestMemoryFailedStore(FailedStoreContract):
    def store(self) -> FailedStore:
        return MemoryFailedStore()


def test_in_memory_the_oldest_makes_room() -> None:
    store = MemoryFailedStore(most=2)
    for number in range(3):
        store.add(Failed(b"%d" % number, "away", 0.0))

    assert [kept.body for kept in store.list()] == [b"2", b"1"]

from pathlib import Path

import pytest

from broadcaster import ConfigurationError
from broadcaster.server.webhook_buffer import Waiting, WebhookBuffer
from broadcaster.server.webhook_files import claim
from tests.programs import python

CLAIM = "import sys; from pathlib import Path; from broadcaster.server.webhook_files import claim\n"


async def fill(path: Path, *names: str) -> None:
    buffer = WebhookBuffer(path)
    await buffer.add(Waiting("lane", 1.5, name) for name in names)
    await buffer.aclose()


def claimed_elsewhere(path: Path) -> Path:
    """Return what another process would get, which has ended when this returns."""
    return Path(python(f"{CLAIM}print(claim(Path({str(path)!r})), end='')", without="nothing"))


async def waiting_in(path: Path) -> list[str]:
    buffer = WebhookBuffer(path)
    found = [one.event for one in await buffer.first("lane", 99)]
    await buffer.aclose()
    return found


def test_every_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"

    assert claim(path).name == "hooks.db-1"
    assert claimed_elsewhere(path).name == "hooks.db-2"
    assert claimed_elsewhere(path).name == "hooks.db-2"
    assert claim(path).name == "hooks.db-2"


async def test_what_waits_in_files_that_nobody_has_comes_along(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    await fill(path, "alone")
    await fill(tmp_path / "hooks.db-3", "1", "2")
    await fill(tmp_path / "other.db-1", "another's")

    mine = claim(path)

    assert sorted(await waiting_in(mine)) == ["1", "2", "alone"]
    assert await waiting_in(path) == []
    assert await waiting_in(tmp_path / "hooks.db-3") == []
    assert await waiting_in(tmp_path / "other.db-1") == ["another's"]


async def test_what_somebody_has_stays_his(tmp_path: Path) -> None:
    path = tmp_path / "hooks.db"
    await fill(claim(path), "one")
    alone = WebhookBuffer(path)

    assert await waiting_in(claim(path)) == []
    assert await waiting_in(tmp_path / "hooks.db-1") == ["one"]
    await alone.aclose()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot keep webhooks in '.*hooks\.db-1': No such file"):
        claim(tmp_path / "gone" / "hooks.db")

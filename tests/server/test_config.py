from pathlib import Path

import pytest

from broadcaster import ConfigurationError
from broadcaster.server.config import app_from_env

NAMES = ["PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_KEY", "PUSHER_APP_SECRET", "PUSHER_SECRET"]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_application_is_read_from_the_variables_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_APP_ID", "7")
    monkeypatch.setenv("PUSHER_APP_KEY", "key")
    monkeypatch.setenv("PUSHER_APP_SECRET", "hush")

    app = app_from_env()

    assert (app.id, app.key, app.secret) == ("7", "key", "hush")


def test_every_missing_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_APP_SECRET", "hush")
    monkeypatch.setenv("PUSHER_APP_KEY", "")

    with pytest.raises(ConfigurationError, match="missing PUSHER_APP_ID, PUSHER_APP_KEY") as refused:
        app_from_env()

    assert "hush" not in str(refused.value)


def test_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PUSHER_APP_ID=7\nPUSHER_KEY=key\nPUSHER_SECRET=hush\nOTHER=1\n")

    assert app_from_env(file).key == "key"

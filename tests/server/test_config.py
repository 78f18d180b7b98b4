import json
from pathlib import Path

import pytest

from broadcaster import ConfigurationError
from broadcaster.protocol.limits import Limits
from broadcaster.server import App, Bounds
from broadcaster.server.config import apps_from_env, apps_from_toml, bounds_from_toml
from broadcaster.signing import Credentials

NAMES = [
    "BROADCAST_APPS",
    "PUSHER_APP_ID",
    "PUSHER_APP_KEY",
    "PUSHER_KEY",
    "PUSHER_APP_SECRET",
    "PUSHER_SECRET",
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_application_is_read_from_the_variables_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_APP_ID", "7")
    monkeypatch.setenv("PUSHER_APP_KEY", "key")
    monkeypatch.setenv("PUSHER_APP_SECRET", "hush")

    [app] = apps_from_env()

    assert (app.id, app.key, app.secret) == ("7", "key", "hush")


def test_every_missing_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_APP_SECRET", "hush")
    monkeypatch.setenv("PUSHER_APP_KEY", "")

    with pytest.raises(ConfigurationError, match="missing PUSHER_APP_ID, PUSHER_APP_KEY") as refused:
        apps_from_env()

    assert "hush" not in str(refused.value)


def test_a_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PUSHER_APP_ID=7\nPUSHER_KEY=key\nPUSHER_SECRET=hush\nOTHER=1\n")

    assert [app.key for app in apps_from_env(file)] == ["key"]


# Several, from a variable


def test_several_applications_are_a_list_in_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"id": "1", "key": "a", "secret": "hush", "limits": {"connections": 5}}
    second = {"id": "2", "key": "b", "secret": "hush", "origins": ["shop.example"]}
    monkeypatch.setenv("BROADCAST_APPS", json.dumps([first, second]))
    monkeypatch.setenv("PUSHER_APP_ID", "9")

    one, two = apps_from_env()

    assert (one.id, one.limits.connections, two.key) == ("1", 5, "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[{"id": "1", "key": "a", "secret": hush}]',
            "BROADCAST_APPS is not JSON: Expecting value in line 1",
        ),
        (
            '[{"id": "1", "kye": "a", "secret": "hush"}]',
            "unknown setting in apps[0]: 'kye', did you mean 'key'?",
        ),
        ('[{"id": "1", "secret": "hush"}]', "BROADCAST_APPS: apps[0].key: "),
        ('{"id": "1"}', "BROADCAST_APPS: apps: "),
    ],
)
def test_a_variable_that_is_wrong_is_refused_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("BROADCAST_APPS", text)

    with pytest.raises(ConfigurationError) as refused:
        apps_from_env()

    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


# Several, from a file


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "server.toml"
    file.write_text(text)
    return file


def test_each_table_is_an_application_with_its_own_limits_and_keys(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        [[apps]]
        id = "1"
        key = "shop"
        secret = "hush"
        origins = ["https://shop.example"]
        other_keys = [{ key = "old", secret = "older" }]
        [apps.limits]
        connections = 10

        [[apps]]
        id = "2"
        key = "blog"
        secret = "psst"
        client_events = false
        """,
    )

    assert apps_from_toml(file) == [
        App(
            "1",
            "shop",
            "hush",
            origins=("https://shop.example",),
            other_keys=(Credentials("old", "older"),),
            limits=Limits(connections=10),
        ),
        App("2", "blog", "psst", client_events=False),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("app = 1", "unknown setting: 'app', did you mean 'apps'"),
        ('[[apps]]\nkee = "hush"', r"unknown setting in apps\[0\]: 'kee', did you mean 'key'"),
        (
            "[[apps]]\n[apps.limits]\nconections = 1",
            r"in apps\[0\]\.limits: 'conections', did you mean 'conn",
        ),
        ('[[apps]]\nother_keys = [{ kee = "hush" }]', r"in apps\[0\]\.other_keys: 'kee'"),
        ('[[apps]]\nid = "1"\nkey = "hush"', r"apps\[0\]\.secret: Field required"),
        (
            '[[apps]]\nid = "1"\nkey = "a"\nsecret = ["hush"]',
            r"apps\[0\]\.secret: Input should be a valid string",
        ),
        ("apps = 7", "apps: Input should be a valid list"),
        ("apps = [7]", r"apps\[0\]: "),
        ("[[apps]", "is not TOML"),
        ('[[apps]]\nid="1"\nkey="a"\nsecret="hush"\n[apps.limits]\nframe_size = -1', "must not be negative"),
    ],
)
def test_what_is_wrong_is_told_by_its_name_and_no_secret_is(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        apps_from_toml(written(tmp_path, text))

    assert "hush" not in str(refused.value)
    assert "server.toml" in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff")

    with pytest.raises(ConfigurationError, match=r"cannot read .*missing\.toml"):
        apps_from_toml(tmp_path / "missing.toml")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        apps_from_toml(tmp_path / "binary.toml")


# What connections may cost


def test_the_table_of_the_server_holds_its_bounds(tmp_path: Path) -> None:
    file = written(tmp_path, "[server]\nbody_size = 2000\nidle_seconds = 5\n")

    assert bounds_from_toml(file) == Bounds(body_size=2000, idle_seconds=5)


def test_without_that_table_there_are_the_defaults(tmp_path: Path) -> None:
    assert bounds_from_toml(written(tmp_path, "")) == Bounds()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[server]\nbody_sice = 1", "unknown setting in server: 'body_sice', did you mean 'body_size'"),
        ('[server]\nbody_size = "much"', "server.body_size: Input should be a valid integer"),
        ("[server]\nbody_size = 0", "body_size must be above 0, not 0"),
        ("server = 1", "server: "),
    ],
)
def test_a_bound_that_cannot_be_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        bounds_from_toml(written(tmp_path, text))

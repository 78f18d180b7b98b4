from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from broadcaster import BroadcastManager, ConfigurationError, Settings
from broadcaster.config import DriverConfig
from broadcaster.drivers.options import OPTIONS

SECRET = "hunter2-the-secret"
PUSHER = {"PUSHER_APP_ID": "3", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": SECRET}
FULL = {"app_id": "3", "key": "key", "secret": SECRET}

Env = Callable[..., None]


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Env:
    """Set variables: `env(BROADCAST_DRIVER="null")`."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def problem(read: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read()
    return str(caught.value)


# The default driver


def test_without_a_variable_everything_goes_to_the_log() -> None:
    assert Settings.from_env() == Settings("log", {})


@pytest.mark.parametrize("variable", ["BROADCAST_DRIVER", "BROADCAST_CONNECTION"])
def test_either_variable_names_the_default_driver(env: Env, variable: str) -> None:
    env(**{variable: "null"})

    assert Settings.from_env().default == "null"


def test_both_variables_may_say_the_same(env: Env) -> None:
    env(BROADCAST_DRIVER="null", BROADCAST_CONNECTION="null")

    assert Settings.from_env().default == "null"


def test_two_variables_that_contradict_each_other_are_refused(env: Env) -> None:
    env(BROADCAST_DRIVER="null", BROADCAST_CONNECTION="log")

    said = problem(Settings.from_env)

    assert said == "BROADCAST_DRIVER is 'null' and BROADCAST_CONNECTION is 'log'; set one"


def test_an_empty_variable_is_an_unset_one(env: Env) -> None:
    env(BROADCAST_DRIVER="", BROADCAST_CONNECTION="null")

    assert Settings.from_env().default == "null"


def test_the_kind_of_a_driver_is_not_asked_about_before_it_is_used(env: Env) -> None:
    env(BROADCAST_DRIVER="of-another-distribution")

    assert Settings.from_env() == Settings("of-another-distribution", {})


# The variables of the known kinds


def test_pusher_is_read_from_its_variables(env: Env) -> None:
    local = {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": "6001", "PUSHER_SCHEME": "http"}
    env(BROADCAST_DRIVER="pusher", **PUSHER, **local)

    driver = Settings.from_env().drivers["pusher"]

    assert driver == DriverConfig("pusher", {**FULL, "host": "127.0.0.1", "port": 6001, "scheme": "http"})


@pytest.mark.parametrize(
    ("variables", "option", "value"),
    [
        ({"PUSHER_APP_CLUSTER": "eu"}, "cluster", "eu"),
        ({"PUSHER_CLUSTER": "eu"}, "cluster", "eu"),
        ({"PUSHER_KEY": "other", "PUSHER_APP_KEY": ""}, "key", "other"),
        ({"PUSHER_SECRET": "other", "PUSHER_APP_SECRET": ""}, "secret", "other"),
        ({"PUSHER_KEY": "other"}, "key", "key"),
    ],
)
def test_laravels_names_of_variables_are_understood(
    env: Env, variables: dict[str, str], option: str, value: str
) -> None:
    env(BROADCAST_DRIVER="pusher", **PUSHER | variables)

    assert Settings.from_env().drivers["pusher"].options[option] == value


def test_redis_needs_no_variable() -> None:
    settings = Settings.from_dict({"driver": "redis"})

    assert settings.drivers["redis"].options == {}


def test_redis_is_read_from_its_variables(env: Env) -> None:
    env(
        BROADCAST_CONNECTION="redis",
        REDIS_URL=f"redis://:{SECRET}@cache:6380/1",
        REDIS_HOST="cache",
        REDIS_PORT="6380",
        REDIS_USERNAME="ann",
        REDIS_PASSWORD=SECRET,
        REDIS_DB="1",
        REDIS_PREFIX="laravel_database_",
    )

    assert Settings.from_env().drivers["redis"].options == {
        "url": f"redis://:{SECRET}@cache:6380/1",
        "host": "cache",
        "port": 6380,
        "username": "ann",
        "password": SECRET,
        "db": 1,
        "prefix": "laravel_database_",
    }


def test_ably_is_read_from_its_variable(env: Env) -> None:
    env(BROADCAST_DRIVER="ably", ABLY_KEY=SECRET)

    assert Settings.from_env().drivers["ably"].options == {"key": SECRET}


@pytest.mark.parametrize("kind", OPTIONS)
def test_variables_without_a_prefix_belong_to_somebody_else(env: Env, kind: str) -> None:
    env(BROADCAST_DRIVER=kind, **PUSHER, ABLY_KEY="ably-key", BROADCAST_STACK="log", BROADCAST_FAILOVER="log")
    expected = Settings.from_env()

    env(HOST="evil", PORT="8000", USERNAME="me", KEY="evil", SECRET="evil", DB="9", URL="evil", PREFIX="evil")

    assert Settings.from_env() == expected
    assert "evil" not in expected.drivers[kind].options.values()


def test_variables_of_a_kind_that_is_not_used_are_not_looked_at(env: Env) -> None:
    env(BROADCAST_DRIVER="null", PUSHER_APP_ID="3", REDIS_PORT="not a number")

    assert Settings.from_env() == Settings("null", {})


def test_every_missing_variable_is_named_at_once(env: Env) -> None:
    env(BROADCAST_DRIVER="pusher", PUSHER_APP_KEY="", PUSHER_PORT="0", PUSHER_SCHEME="ftp")

    said = problem(Settings.from_env)

    assert said.startswith("driver 'pusher': missing PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET; ")
    assert "PUSHER_PORT: Input should be greater than or equal to 1" in said
    assert "PUSHER_SCHEME: Input should be 'http' or 'https'" in said


# Named drivers


def test_a_named_driver_is_read_from_nested_variables(env: Env) -> None:
    env(
        BROADCAST_DRIVER="eu",
        BROADCAST_DRIVERS__EU__DRIVER="pusher",
        BROADCAST_DRIVERS__EU__APP_ID="3",
        BROADCAST_DRIVERS__EU__KEY="0123",
        BROADCAST_DRIVERS__EU__SECRET="12345",
        BROADCAST_DRIVERS__EU__CLUSTER="",
    )

    settings = Settings.from_env()

    assert settings.default == "eu"
    assert settings.drivers == {
        "eu": DriverConfig("pusher", {"app_id": "3", "key": "0123", "secret": "12345"})
    }


def test_a_named_driver_does_not_borrow_the_credentials_of_another(env: Env) -> None:
    env(BROADCAST_DRIVERS__EU__DRIVER="pusher", BROADCAST_DRIVERS__EU__APP_ID="3", **PUSHER)

    assert problem(Settings.from_env) == "driver 'eu' (pusher): missing key, secret"


def test_a_dict_does_not_borrow_from_the_environment(env: Env) -> None:
    env(**PUSHER, REDIS_PASSWORD=SECRET)

    assert "password" not in Settings.from_dict({"driver": "redis"}).drivers["redis"].options
    assert problem(lambda: Settings.from_dict({"driver": "pusher"})) == (
        "driver 'pusher': missing app_id, key, secret"
    )


def test_a_driver_named_like_its_kind_adds_to_the_variables_of_that_kind(env: Env) -> None:
    env(
        BROADCAST_DRIVERS__PUSHER__HOST="127.0.0.1",
        BROADCAST_DRIVERS__PUSHER__PORT="6001",
        PUSHER_PORT="443",
        **PUSHER,
    )

    assert Settings.from_env().drivers["pusher"].options == {**FULL, "host": "127.0.0.1", "port": 6001}


def test_a_driver_of_an_unknown_kind_keeps_its_options(env: Env) -> None:
    env(BROADCAST_DRIVERS__CARRIER__DRIVER="pigeon", BROADCAST_DRIVERS__CARRIER__ALTITUDE="300")

    assert Settings.from_env().drivers == {"carrier": DriverConfig("pigeon", {"altitude": "300"})}


def test_all_named_drivers_may_be_one_json_variable(env: Env) -> None:
    env(BROADCAST_DRIVERS='{"eu": {"driver": "pusher", "app_id": 3, "key": "key", "secret": "s"}}')

    assert Settings.from_env().drivers["eu"].options == {**FULL, "secret": "s"}


def test_an_unknown_option_is_refused_with_the_nearest_known_one() -> None:
    tables = {"eu": {"driver": "pusher", "app_id": "3", "key": "k", "secert": SECRET}}

    said = problem(lambda: Settings.from_dict({"drivers": tables}))

    assert said.startswith("driver 'eu' (pusher): unknown option 'secert', did you mean 'secret'?; known: ")
    assert said.endswith("'scheme', 'secret'; driver 'eu' (pusher): missing secret")


# Files


def test_a_toml_file_names_drivers(tmp_path: Path) -> None:
    file = tmp_path / "broadcast.toml"
    file.write_text(
        f"""
        driver = "eu"
        [drivers.eu]
        driver = "pusher"
        app_id = 3
        key = "key"
        secret = "{SECRET}"
        [drivers.quiet]
        driver = "null"
        """
    )

    assert Settings.from_toml(file) == Settings(
        "eu", {"eu": DriverConfig("pusher", FULL), "quiet": DriverConfig("null")}
    )


def test_a_dict_has_the_same_content() -> None:
    table = {"driver": "pusher", "app_id": 3, "key": "key", "secret": SECRET}

    settings = Settings.from_dict({"driver": "eu", "drivers": {"eu": table}})

    assert settings == Settings("eu", {"eu": DriverConfig("pusher", FULL)})
    assert Settings.from_dict({}) == Settings()


def test_an_environment_goes_before_the_toml_file_it_names(env: Env, tmp_path: Path) -> None:
    file = tmp_path / "broadcast.toml"
    file.write_text('driver = "eu"\n[drivers.eu]\ndriver = "pusher"\napp_id = 3\nkey = "from the file"\n')
    env(BROADCAST_CONFIG=str(file), BROADCAST_DRIVERS__EU__KEY="key", BROADCAST_DRIVERS__EU__SECRET=SECRET)

    assert Settings.from_env() == Settings("eu", {"eu": DriverConfig("pusher", FULL)})

    env(BROADCAST_DRIVER="null")
    assert Settings.from_env().default == "null"


def test_secrets_may_stay_in_the_environment_of_a_toml_file(env: Env, tmp_path: Path) -> None:
    file = tmp_path / "broadcast.toml"
    file.write_text('driver = "pusher"\n[drivers.pusher]\nport = 6001\n')
    env(BROADCAST_CONFIG=str(file), **PUSHER)

    assert Settings.from_env().drivers["pusher"].options == {**FULL, "port": 6001}


def test_a_dotenv_file_is_read_when_asked_for_and_lies_beneath_the_environment(
    env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "BROADCAST_DRIVER=pusher\nPUSHER_APP_ID=3\nPUSHER_APP_KEY=from-the-file\nUNRELATED=1\n"
        f"export PUSHER_APP_SECRET='{SECRET}'\nBROADCAST_DRIVERS__QUIET__DRIVER=null\n"
    )
    env(PUSHER_APP_KEY="key")
    monkeypatch.chdir(tmp_path)

    assert Settings.from_env() == Settings()
    assert Settings.from_env(file) == Settings(
        "pusher", {"quiet": DriverConfig("null"), "pusher": DriverConfig("pusher", FULL)}
    )


def test_an_empty_variable_does_not_hide_the_dotenv_file(env: Env, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("BROADCAST_DRIVER=ably\nABLY_KEY=from-the-file\n")
    env(BROADCAST_DRIVER="", ABLY_KEY="")

    assert Settings.from_env(str(file)).drivers["ably"].options == {"key": "from-the-file"}


def test_a_dotenv_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    file = tmp_path / ".env"

    assert problem(lambda: Settings.from_env(file)) == f"no such file: {str(file)!r}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read {file!r}: No such file or directory"),
        (b"driver = ", "{file!r} is not TOML: Invalid value (at end of document)"),
        (b"driver = '\xff'", "{file!r} is not UTF-8"),
        (b"driver = 7", "driver: Input should be a valid string"),
        (b"drivers = 7", "drivers: Input should be a valid dictionary"),
        (
            b"drivres = 7",
            (
                "unknown setting 'drivres', did you mean 'drivers'?; "
                "known: 'driver', 'drivers', 'queue', 'tracing'"
            ),
        ),
        (b"[drivers]\neu = 7", "driver 'eu': expected a table of options, its kind as 'driver'"),
        (b"[drivers.eu]\ndriver = 7", "driver 'eu': expected a table of options, its kind as 'driver'"),
    ],
)
def test_a_toml_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "broadcast.toml"
    if content is not None:
        file.write_bytes(content)

    assert problem(lambda: Settings.from_toml(file)) == said.format(file=str(file))


@pytest.mark.parametrize("content", ["text", 7, None, [1]])
def test_what_is_no_mapping_is_refused(content: Any) -> None:
    assert problem(lambda: Settings.from_dict(content)) == (
        f"settings are a mapping, not {type(content).__name__}"
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"BROADCAST_DRIVERS": "{"}, "BROADCAST_DRIVERS is not JSON"),
        ({"BROADCAST_DRIVERS": "[]"}, "BROADCAST_DRIVERS: Input should be a valid dictionary"),
        ({"BROADCAST_DRIVERS__EU": "x"}, "BROADCAST_DRIVERS__EU: Input should be a valid dictionary"),
    ],
)
def test_variables_of_the_wrong_shape_are_named(env: Env, variables: dict[str, str], said: str) -> None:
    env(**variables)

    assert problem(Settings.from_env) == said


def test_a_dotenv_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"BROADCAST_DRIVER=\xff\n")

    assert problem(lambda: Settings.from_env(file)) == f"{str(file)!r} is not UTF-8"


def test_one_error_names_everything_from_everywhere(env: Env, tmp_path: Path) -> None:
    file = tmp_path / "broadcast.toml"
    file.write_text('[drivers.us]\ndriver = "pusher"\ncolour = "red"\n')
    env(
        BROADCAST_CONFIG=str(file),
        BROADCAST_DRIVER="ably",
        BROADCAST_CONNECTION="redis",
        BROADCAST_DRIVERS__EU__DRIVER="redis",
        BROADCAST_DRIVERS__EU__PORT="high",
    )

    said = problem(Settings.from_env)

    for part in [
        "BROADCAST_DRIVER is 'ably' and BROADCAST_CONNECTION is 'redis'; set one",
        "driver 'us' (pusher): unknown option 'colour'",
        "driver 'us' (pusher): missing app_id, key, secret",
        "driver 'eu' (redis): port: Input should be a valid integer",
        "driver 'ably': missing ABLY_KEY",
    ]:
        assert part in said


# Secrets


def everything_about(error: BaseException) -> str:
    """Return whatever of *error* could end in a log: text, repr, arguments, notes, causes, traceback."""
    seen: list[str] = []
    at: BaseException | None = error
    while at is not None:
        seen += [str(at), repr(at), repr(at.args), repr(getattr(at, "__notes__", None)), repr(vars(at))]
        at = at.__cause__ or at.__context__
    return "\n".join([*seen, *traceback.format_exception(error)])


WRONG_TABLES: list[Mapping[str, Any]] = [
    {"driver": "pusher", "app_id": [SECRET], "key": {SECRET: 1}, "secret": [SECRET]},
    {"driver": "pusher", "app_id": "3", "key": "k", "secret": {"value": SECRET}},
    {"driver": "pusher", "app_id": "3", "key": "k", "secret": SECRET.encode(), "port": SECRET},
    {"driver": "pusher", "app_id": "3", "key": "k", "secret": SECRET, "scheme": SECRET},
    {"driver": "pusher", "key": "k", "secret": SECRET, "secrte": SECRET},
    {"driver": "redis", "url": [SECRET]},
    {"driver": "redis", "url": f"redis://:{SECRET}@x", "password": 7.5, "port": SECRET, "db": SECRET},
    {"driver": "ably", "key": (SECRET,)},
    {"driver": [SECRET]},
    {"driver": {"secret": SECRET}},
]


@pytest.mark.parametrize("table", WRONG_TABLES)
def test_no_error_about_a_table_shows_a_secret(table: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_dict({"driver": "eu", "drivers": {"eu": table}})

    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        {"driver": [SECRET]},
        {"driver": SECRET.encode() + b"\xff"},
        {"drivers": {"eu": SECRET}},
        {"drivers": [SECRET]},
        {"secret": SECRET},
        SECRET,
        [SECRET],
        [(SECRET, SECRET, SECRET)],
    ],
)
def test_no_error_about_settings_shows_a_secret(content: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_dict(content)

    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize(
    "variables",
    [
        {"BROADCAST_DRIVERS": f'{{"eu": {{"secret": "{SECRET}"}}'},
        {"BROADCAST_DRIVERS": f'"{SECRET}"'},
        {"BROADCAST_DRIVERS": SECRET},
        {"BROADCAST_DRIVERS__EU": SECRET},
        {"BROADCAST_DRIVERS__EU": SECRET, "BROADCAST_DRIVERS__EU__SECRET": SECRET},
        {"BROADCAST_DRIVERS__EU__DRIVER": "pusher", "BROADCAST_DRIVERS__EU__SECRET__X": SECRET},
        {"BROADCAST_DRIVERS__EU__DRIVER": "redis", "BROADCAST_DRIVERS__EU__PORT": SECRET},
        {"BROADCAST_DRIVER": "pusher", **PUSHER, "PUSHER_PORT": SECRET, "PUSHER_SCHEME": SECRET},
        {"BROADCAST_DRIVER": "pusher", "PUSHER_APP_SECRET": SECRET},
        {"BROADCAST_DRIVER": "redis", "REDIS_DB": SECRET, "REDIS_PORT": SECRET, "REDIS_PASSWORD": SECRET},
        {"BROADCAST_DRIVER": "ably", "BROADCAST_CONNECTION": "null", "ABLY_KEY": SECRET},
    ],
)
def test_no_error_about_the_environment_shows_a_secret(env: Env, variables: dict[str, str]) -> None:
    env(**variables)

    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env()

    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        f"secret = '{SECRET}",
        f"[drivers.eu]\nsecret = {SECRET}",
        f"[drivers.eu]\nsecret = '{SECRET}'\nsecret = '{SECRET}'",
        f"[drivers.eu]\nsecret = '''{SECRET}",
        f"[drivers.eu]\ndriver='pusher'\nsecret = ['{SECRET}']",
    ],
)
def test_no_error_about_a_toml_file_shows_a_secret(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broadcast.toml"
    file.write_text(content)

    with pytest.raises(ConfigurationError) as caught:
        Settings.from_toml(file)

    assert SECRET not in everything_about(caught.value)


def test_no_error_about_bytes_in_a_file_shows_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "broadcast"
    file.write_bytes(f"secret = '{SECRET}'\nBROADCAST_DRIVER='{SECRET}'\n# ".encode() + b"\xff")

    for read in (Settings.from_toml, Settings.from_env):
        with pytest.raises(ConfigurationError) as caught:
            read(file)

        assert SECRET not in everything_about(caught.value)


def test_settings_do_not_show_a_secret() -> None:
    settings = Settings("eu", {"eu": DriverConfig("pusher", FULL)})

    with BroadcastManager(settings) as broadcast:
        shown = f"{settings!r} {settings} {settings.drivers['eu']!r} {broadcast!r} {vars(broadcast)!r}"

    assert "pusher" in shown
    assert SECRET not in shown


# Drivers made of others


def test_the_members_of_a_failover_are_a_list_and_read_from_their_own_variables(env: Env) -> None:
    env(BROADCAST_DRIVER="failover", BROADCAST_FAILOVER="pusher, redis,", REDIS_PREFIX="app:", **PUSHER)

    assert Settings.from_env().drivers == {
        "failover": DriverConfig("failover", {"drivers": ["pusher", "redis"]}),
        "pusher": DriverConfig("pusher", FULL),
        "redis": DriverConfig("redis", {"prefix": "app:"}),
    }


def test_what_a_member_of_a_stack_is_missing_is_told(env: Env) -> None:
    env(BROADCAST_DRIVER="stack", BROADCAST_STACK="log,failover", BROADCAST_FAILOVER="ably,log")

    assert problem(Settings.from_env) == "driver 'ably': missing ABLY_KEY"


@pytest.mark.parametrize("variables", [{}, {"BROADCAST_STACK": " , "}, {"BROADCAST_STACK": ""}])
def test_a_stack_needs_members(env: Env, variables: dict[str, str]) -> None:
    env(BROADCAST_DRIVER="stack", **variables)

    assert "BROADCAST_STACK" in problem(Settings.from_env)


def test_groups_may_have_names_of_their_own() -> None:
    tables = {
        "both": {"driver": "stack", "drivers": ["eu", "redis"]},
        "eu": {"driver": "failover", "drivers": "log", "failures": 5, "cooldown": 2.5},
    }

    assert Settings.from_dict({"driver": "both", "drivers": tables}).drivers == {
        "both": DriverConfig("stack", {"drivers": ["eu", "redis"]}),
        "eu": DriverConfig("failover", {"drivers": ["log"], "failures": 5, "cooldown": 2.5}),
        "redis": DriverConfig("redis"),
    }


# Drivers that only an event names


def test_a_driver_that_nothing_names_is_spare(env: Env) -> None:
    env(BROADCAST_DRIVER="log", **PUSHER)

    spare = Settings.from_env().spare

    assert spare["pusher"] == DriverConfig("pusher", FULL)
    assert spare["redis"] == DriverConfig("redis")
    assert spare["ably"].problem == "driver 'ably': missing ABLY_KEY"


def test_a_dict_has_no_spare_drivers(env: Env) -> None:
    env(**PUSHER)

    assert Settings.from_dict({"driver": "log"}).spare == {}


# The queue


def test_without_a_word_the_caller_delivers() -> None:
    assert Settings.from_dict({}).queue == DriverConfig("sync")


def test_the_environment_names_the_queue_and_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_QUEUE", "memory")
    monkeypatch.setenv("BROADCAST_QUEUE_SIZE", "7")
    monkeypatch.setenv("BROADCAST_QUEUE_OVERFLOW", "drop")

    queue = Settings.from_env().queue

    assert (queue.kind, queue.options) == ("memory", {"size": 7, "overflow": "drop"})


def test_a_table_names_the_queue_and_its_options() -> None:
    queue = Settings.from_dict({"queue": {"engine": "memory", "size": 7}}).queue

    assert (queue.kind, queue.options) == ("memory", {"size": 7})


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ("memroy", "no queue is named 'memroy', did you mean 'memory'?; known: "),
        ({"size": 7}, "no queue is named None; known: "),
        ({"engine": "memory", "sise": 7}, "queue 'memory': unknown option 'sise', did you mean 'size'?"),
        ({"engine": "memory", "size": 0}, "queue 'memory': size: Input should be greater than 0"),
    ],
)
def test_a_queue_that_cannot_be_is_refused(queue: object, said: str) -> None:
    assert problem(lambda: Settings.from_dict({"queue": queue})).startswith(said)

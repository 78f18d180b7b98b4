"""Which drivers there are, and their options: from the environment, a TOML file or a dict."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from broadcaster.errors import ConfigurationError, named

__all__ = ["KINDS", "AblyOptions", "DriverConfig", "PusherOptions", "RedisOptions", "Settings", "suggestion"]

_OPTIONS = ConfigDict(populate_by_name=True, frozen=True, coerce_numbers_to_str=True)


class PusherOptions(BaseModel):
    """Pusher Channels, or a server that speaks its protocol (*host*, *port*, *scheme*)."""

    model_config = _OPTIONS

    app_id: str = Field(validation_alias=AliasChoices("PUSHER_APP_ID"))
    key: str = Field(validation_alias=AliasChoices("PUSHER_APP_KEY", "PUSHER_KEY"))
    secret: SecretStr = Field(validation_alias=AliasChoices("PUSHER_APP_SECRET", "PUSHER_SECRET"))
    cluster: str | None = Field(None, validation_alias=AliasChoices("PUSHER_APP_CLUSTER", "PUSHER_CLUSTER"))
    host: str | None = Field(None, validation_alias=AliasChoices("PUSHER_HOST"))
    port: int | None = Field(None, validation_alias=AliasChoices("PUSHER_PORT"), ge=1, le=65535)
    scheme: Literal["http", "https"] = Field("https", validation_alias=AliasChoices("PUSHER_SCHEME"))


class RedisOptions(BaseModel):
    """One Redis server; *url* takes the place of the other options."""

    model_config = _OPTIONS

    url: SecretStr | None = Field(None, validation_alias=AliasChoices("REDIS_URL"))
    host: str = Field("127.0.0.1", validation_alias=AliasChoices("REDIS_HOST"))
    port: int = Field(6379, validation_alias=AliasChoices("REDIS_PORT"), ge=1, le=65535)
    username: str | None = Field(None, validation_alias=AliasChoices("REDIS_USERNAME"))
    password: SecretStr | None = Field(None, validation_alias=AliasChoices("REDIS_PASSWORD"))
    db: int = Field(0, validation_alias=AliasChoices("REDIS_DB"), ge=0)
    prefix: str = Field("", validation_alias=AliasChoices("REDIS_PREFIX"))


class AblyOptions(BaseModel):
    """An Ably application, by its API key."""

    model_config = _OPTIONS

    key: SecretStr = Field(validation_alias=AliasChoices("ABLY_KEY"))


KINDS: dict[str, type[BaseModel]] = {"ably": AblyOptions, "pusher": PusherOptions, "redis": RedisOptions}
"""The kinds of driver whose options are checked here, and read from variables of their own."""


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """One named driver: its *kind*, and the keyword arguments of the factory that makes it."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The name of the *default* driver, and every driver that was configured by name."""

    default: str = "log"
    drivers: Mapping[str, DriverConfig] = field(default_factory=dict)

    @classmethod
    def from_env(cls, env_file: str | Path | None = None) -> Settings:
        """Read the environment, and *env_file* (a `.env`) beneath it where one is given.

        `BROADCAST_DRIVER` or `BROADCAST_CONNECTION` names the default driver; `log` when unset.
        `BROADCAST_DRIVERS__EU__DRIVER=pusher`, `BROADCAST_DRIVERS__EU__APP_ID=...` and so on configure
        one more, named `eu`. `BROADCAST_CONFIG` names a TOML file with the same content as a dict; a
        variable goes before it. A driver that is named like its kind also reads the variables of that
        kind, such as `PUSHER_APP_KEY`. An empty variable is an unset one.
        Raises `ConfigurationError`, which names everything that is missing or wrong, never a value.
        """
        if env_file is not None and not Path(env_file).is_file():
            raise ConfigurationError(f"no such file: {str(env_file)!r}")
        problems: list[str] = []
        env, variables = _read_environment(env_file, problems)
        file = _read_toml(env.config, problems) if env.config else _Content()
        if env.driver and env.connection and env.driver != env.connection:
            problems.append(
                f"BROADCAST_DRIVER is {env.driver!r} and BROADCAST_CONNECTION is {env.connection!r}; set one"
            )
        content = _Content(
            driver=env.driver or env.connection or file.driver, drivers=_overlaid(file.drivers, env.drivers)
        )
        return cls._from(content, problems, variables)

    @classmethod
    def from_toml(cls, path: str | Path) -> Settings:
        """Read a TOML file: `driver = "eu"` and tables such as `[drivers.eu]`."""
        problems: list[str] = []
        return cls._from(_read_toml(path, problems), problems)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """Read `{"driver": "eu", "drivers": {"eu": {"driver": "pusher", "app_id": ...}}}`."""
        problems: list[str] = []
        return cls._from(_read_content(content, problems), problems)

    @classmethod
    def _from(
        cls, content: _Content, problems: list[str], variables: Mapping[str, str | None] | None = None
    ) -> Settings:
        tables = dict(content.drivers)
        if content.driver in KINDS:
            tables.setdefault(content.driver, {})
        drivers = {name: _read_driver(name, table, variables, problems) for name, table in tables.items()}
        if problems:
            raise ConfigurationError("; ".join(problems))
        return cls(content.driver, drivers)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    driver: str = "log"
    drivers: dict[str, Any] = {}


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="BROADCAST_", env_nested_delimiter="__", env_ignore_empty=True, extra="ignore"
    )

    driver: str | None = None
    connection: str | None = None
    config: Path | None = None
    drivers: dict[str, dict[str, Any]] = {}


def _read_environment(
    env_file: str | Path | None, problems: list[str]
) -> tuple[_Environment, Mapping[str, str | None]]:
    """Read the variables of this package, and all variables by their names in lower case."""
    # Type checkers see the fields only, not the parameters that every BaseSettings takes besides.
    read = cast("Callable[..., _Environment]", _Environment)
    try:
        env = read(_env_file=env_file)
        from_file = DotEnvSettingsSource(_Environment, env_file=env_file).env_vars
        return env, {**from_file, **EnvSettingsSource(_Environment).env_vars}
    except ValidationError as error:
        problems.append(_told(error, lambda name: f"BROADCAST_{name.replace('.', '__')}".upper()))
    except SettingsError:
        problems.append("BROADCAST_DRIVERS is not JSON")
    except UnicodeDecodeError:
        problems.append(f"{str(env_file)!r} is not UTF-8")
    return _Environment.model_construct(), {}


def _read_toml(path: str | Path, problems: list[str]) -> _Content:
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        problems.append(f"cannot read {str(path)!r}: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{str(path)!r} is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{str(path)!r} is not TOML: {error}")
    else:
        return _read_content(content, problems)
    return _Content()


def _read_content(content: Mapping[str, Any], problems: list[str]) -> _Content:
    try:
        return _Content.model_validate(dict(content))
    except ValidationError as error:
        problems.append(_told(error))
    except (TypeError, ValueError):
        problems.append(f"settings are a mapping, not {type(content).__name__}")
    return _Content()


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of both; an option *above* goes before the same one *below*."""
    tables = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            tables[name] = {**below[name], **above[name]}
    return tables


def _read_driver(
    name: str, table: object, variables: Mapping[str, str | None] | None, problems: list[str]
) -> DriverConfig:
    """Check the options of one driver, where its kind is known here; gather *problems*."""
    if not isinstance(table, Mapping) or not isinstance(kind := table.get("driver", name), str):
        problems.append(f"driver {name!r}: expected a table of options, its kind as 'driver'")
        return DriverConfig(name)
    options = {option: value for option, value in table.items() if option != "driver"}
    if (model := KINDS.get(kind)) is None:
        return DriverConfig(kind, options)
    who = f"driver {name!r}" if name == kind else f"driver {name!r} ({kind})"
    known = list(model.model_fields)
    problems += [
        f"{who}: unknown option {option!r}{suggestion(str(option), known)}; known: {named(known)}"
        for option in options
        if option not in known
    ]
    from_variables = name == kind and variables is not None
    if from_variables:
        options |= _from_variables(model, variables or {}, given=options)
    try:
        return DriverConfig(kind, _plain(model.model_validate(options)))
    except ValidationError as error:
        problems.append(f"{who}: {_told(error, None if from_variables else _option_names(model).get)}")
        return DriverConfig(kind)


def _from_variables(
    model: type[BaseModel], variables: Mapping[str, str | None], *, given: Mapping[str, Any]
) -> dict[str, str | None]:
    """Return what the model's own variables say about the options that are not *given*, by variable."""
    return {
        variable: variables[variable.lower()]
        for variable, option in _option_names(model).items()
        if option not in given and variable.lower() in variables
    }


def _option_names(model: type[BaseModel]) -> dict[str, str]:
    """Return the option that each variable of *model* stands for."""
    names: dict[str, str] = {}
    for option, info in model.model_fields.items():
        if isinstance(info.validation_alias, AliasChoices):
            names |= {str(variable): option for variable in info.validation_alias.choices}
    return names


def _plain(options: BaseModel) -> dict[str, Any]:
    values = options.model_dump(exclude_none=True)
    return {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in values.items()}


def _told(error: ValidationError, rename: Callable[[str], str | None] | None = None) -> str:
    """Say what pydantic found, by name only: the values may be secrets."""
    missing: list[str] = []
    wrong: list[str] = []
    for found in error.errors(include_input=False, include_context=False, include_url=False):
        name = ".".join(str(part) for part in found["loc"])
        name = (rename(name) if rename else None) or name
        if found["type"] == "missing":
            missing.append(name)
        elif found["type"] == "extra_forbidden":
            known = list(_Content.model_fields)
            wrong.append(f"unknown setting {name!r}{suggestion(name, known)}; known: {named(known)}")
        else:
            wrong.append(f"{name}: {found['msg']}")
    return "; ".join(([f"missing {', '.join(missing)}"] if missing else []) + wrong)


def suggestion(name: str, known: list[str]) -> str:
    """Return `, did you mean 'x'?` for the name that *name* looks like, or nothing."""
    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""

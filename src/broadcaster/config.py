"""Which drivers there are, and their options: from the environment, a TOML file or a dict."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from broadcaster.errors import ConfigurationError, named

__all__ = ["KINDS", "AblyOptions", "DriverConfig", "PusherOptions", "RedisOptions", "Settings", "suggestion"]

S = TypeVar("S", bound=BaseSettings)

_OPTIONS = SettingsConfigDict(populate_by_name=True, extra="ignore", frozen=True, env_ignore_empty=True)


class PusherOptions(BaseSettings):
    """Pusher Channels, or a server that speaks its protocol (*host*, *port*, *scheme*)."""

    model_config = _OPTIONS

    app_id: str = Field(validation_alias=AliasChoices("PUSHER_APP_ID"))
    key: str = Field(validation_alias=AliasChoices("PUSHER_APP_KEY", "PUSHER_KEY"))
    secret: SecretStr = Field(validation_alias=AliasChoices("PUSHER_APP_SECRET", "PUSHER_SECRET"))
    cluster: str | None = Field(None, validation_alias=AliasChoices("PUSHER_APP_CLUSTER", "PUSHER_CLUSTER"))
    host: str | None = Field(None, validation_alias=AliasChoices("PUSHER_HOST"))
    port: int | None = Field(None, validation_alias=AliasChoices("PUSHER_PORT"), ge=1, le=65535)
    scheme: Literal["http", "https"] = Field("https", validation_alias=AliasChoices("PUSHER_SCHEME"))


class RedisOptions(BaseSettings):
    """One Redis server; *url* takes the place of the other options."""

    model_config = _OPTIONS

    url: SecretStr | None = Field(None, validation_alias=AliasChoices("REDIS_URL"))
    host: str = Field("127.0.0.1", validation_alias=AliasChoices("REDIS_HOST"))
    port: int = Field(6379, validation_alias=AliasChoices("REDIS_PORT"), ge=1, le=65535)
    username: str | None = Field(None, validation_alias=AliasChoices("REDIS_USERNAME"))
    password: SecretStr | None = Field(None, validation_alias=AliasChoices("REDIS_PASSWORD"))
    db: int = Field(0, validation_alias=AliasChoices("REDIS_DB"), ge=0)
    prefix: str = Field("", validation_alias=AliasChoices("REDIS_PREFIX"))


class AblyOptions(BaseSettings):
    """An Ably application, by its API key."""

    model_config = _OPTIONS

    key: SecretStr = Field(validation_alias=AliasChoices("ABLY_KEY"))


KINDS: dict[str, type[BaseSettings]] = {"ably": AblyOptions, "pusher": PusherOptions, "redis": RedisOptions}
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
        one more, named `eu`. `BROADCAST_CONFIG` names a TOML file with the same content as a dict.
        Raises `ConfigurationError`, which names everything that is missing or wrong, never a value.
        """
        if env_file is not None and not Path(env_file).is_file():
            raise ConfigurationError(f"no such file: {str(env_file)!r}")
        try:
            env = _read_variables(_Environment, env_file)
        except (ValidationError, ValueError) as error:
            raise ConfigurationError(_told(error)) from None
        base = cls.from_toml(env.config) if env.config else cls()
        problems: list[str] = []
        if env.driver and env.connection and env.driver != env.connection:
            problems.append(
                f"BROADCAST_DRIVER is {env.driver!r} and BROADCAST_CONNECTION is {env.connection!r}; set one"
            )
        default = env.driver or env.connection or base.default
        drivers = dict(base.drivers) | _read_drivers(env.drivers, problems)
        if default in KINDS and default not in drivers:
            # The options of a kind are read from its own variables only when that kind is the default:
            # half a set of variables must not stop an application that does not use them.
            drivers[default] = _from_variables(default, env_file, problems)
        _raise_all(problems)
        return cls(default, drivers)

    @classmethod
    def from_toml(cls, path: str | Path) -> Settings:
        """Read a TOML file: `driver = "eu"` and tables such as `[drivers.eu]`."""
        try:
            content = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"cannot read {str(path)!r}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{str(path)!r} is not TOML: {error}") from error
        return cls.from_dict(content)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """Read `{"driver": "eu", "drivers": {"eu": {"driver": "pusher", "app_id": ...}}}`."""
        try:
            read = _Content.model_validate(content)
        except ValidationError as error:
            raise ConfigurationError(_told(error)) from None
        problems: list[str] = []
        drivers = _read_drivers(read.drivers, problems)
        if read.driver in KINDS and read.driver not in drivers:
            drivers |= _read_drivers({read.driver: {}}, problems)
        _raise_all(problems)
        return cls(read.driver, drivers)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    driver: str = "log"
    drivers: dict[str, dict[str, Any]] = {}


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="BROADCAST_", env_nested_delimiter="__", env_ignore_empty=True, extra="ignore"
    )

    driver: str | None = None
    connection: str | None = None
    config: Path | None = None
    drivers: dict[str, dict[str, Any]] = {}


def _read_drivers(tables: Mapping[str, Mapping[str, Any]], problems: list[str]) -> dict[str, DriverConfig]:
    """Check the options of each named driver whose kind is known here; gather *problems*."""
    drivers: dict[str, DriverConfig] = {}
    for name, table in tables.items():
        options = dict(table)
        kind = str(options.pop("driver", name))
        if (model := KINDS.get(kind)) is not None:
            known = list(model.model_fields)
            problems += [
                f"driver {name!r} ({kind}): unknown option {option!r}{suggestion(option, known)}; known: {named(known)}"
                for option in options
                if option not in known
            ]
            try:
                options = _plain(model.model_validate(options))
            except ValidationError as error:
                problems.append(f"driver {name!r} ({kind}): {_told(error, fields_of=model)}")
        drivers[name] = DriverConfig(kind, options)
    return drivers


def _from_variables(kind: str, env_file: str | Path | None, problems: list[str]) -> DriverConfig:
    try:
        return DriverConfig(kind, _plain(_read_variables(KINDS[kind], env_file)))
    except ValidationError as error:
        problems.append(f"driver {kind!r}: {_told(error)}")
        return DriverConfig(kind)


def _read_variables(model: type[S], env_file: str | Path | None) -> S:
    # Type checkers see the fields only, not the parameters that every BaseSettings takes besides.
    read: Callable[..., S] = model
    return read(_env_file=env_file)


def _plain(options: BaseSettings) -> dict[str, Any]:
    values = options.model_dump(exclude_none=True)
    return {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in values.items()}


def _told(error: ValueError, *, fields_of: type[BaseSettings] | None = None) -> str:
    """Say what pydantic found, by name only: the values may be secrets."""
    if not isinstance(error, ValidationError):
        return str(error)
    missing: list[str] = []
    wrong: list[str] = []
    for found in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in found["loc"])
        if fields_of is not None:
            name = _field_name(fields_of, name)
        if found["type"] == "missing":
            missing.append(name)
        elif found["type"] == "extra_forbidden":
            known = list(_Content.model_fields)
            wrong.append(f"unknown setting {name!r}{suggestion(name, known)}; known: {named(known)}")
        else:
            wrong.append(f"{name}: {found['msg']}")
    return "; ".join(([f"missing {', '.join(missing)}"] if missing else []) + wrong)


def _field_name(model: type[BaseSettings], alias: str) -> str:
    """Return the option that an environment variable stands for: errors about a table name its keys."""
    for name, info in model.model_fields.items():
        if isinstance(info.validation_alias, AliasChoices) and alias in info.validation_alias.choices:
            return name
    return alias


def suggestion(name: str, known: list[str]) -> str:
    """Return `, did you mean 'x'?` for the name that *name* looks like, or nothing."""
    close = get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _raise_all(problems: list[str]) -> None:
    if problems:
        raise ConfigurationError("; ".join(problems))

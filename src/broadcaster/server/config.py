"""Which applications `broadcaster serve` serves, as the environment or a TOML file says."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from pydantic import AliasChoices, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from broadcaster.errors import ConfigurationError, named, suggestion
from broadcaster.protocol.limits import Limits
from broadcaster.protocol.webhooks import Webhook
from broadcaster.server.apps import App
from broadcaster.server.bounds import Bounds
from broadcaster.signing import Credentials

__all__ = ["apps_from_env", "apps_from_toml", "bounds_from_toml"]

_APPS = TypeAdapter(list[App])
_BOUNDS = TypeAdapter(Bounds)
_TABLES: Mapping[str, type] = {"limits": Limits, "other_keys": Credentials, "webhooks": Webhook}


class _AppsVariable(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    apps: SecretStr | None = Field(None, validation_alias=AliasChoices("BROADCAST_APPS"))


class _AppVariables(BaseSettings):
    """The variables that the `pusher` driver reads too, so that one file serves both sides."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    app_id: str = Field(validation_alias=AliasChoices("PUSHER_APP_ID"))
    key: str = Field(validation_alias=AliasChoices("PUSHER_APP_KEY", "PUSHER_KEY"))
    secret: SecretStr = Field(validation_alias=AliasChoices("PUSHER_APP_SECRET", "PUSHER_SECRET"))


def apps_from_env(env_file: str | Path | None = None) -> list[App]:
    """Read `BROADCAST_APPS`, or else one application: `PUSHER_APP_ID`, `PUSHER_APP_KEY`, `PUSHER_APP_SECRET`.

    The first is a JSON list of what the tables of `apps_from_toml()` are. Raises `ConfigurationError`, which
    names every variable that is missing.
    """
    # Type checkers see the fields only, not the parameters that every BaseSettings takes besides.
    read_several = cast("Callable[..., _AppsVariable]", _AppsVariable)
    several = read_several(_env_file=env_file).apps
    if several is None:
        return [_app_from_env(env_file)]
    try:
        content = {"apps": json.loads(several.get_secret_value())}
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(f"BROADCAST_APPS is not JSON: {error.msg} in {where}") from None
    return _apps(content, "BROADCAST_APPS")


def apps_from_toml(path: str | Path) -> list[App]:
    """Read the tables `[[apps]]` of a TOML file: each has the fields of `App`, and of `Limits` in `limits`.

    Raises `ConfigurationError`, which tells everything that is wrong by its name, and no secret.
    """
    return _apps(_content(path), repr(str(path)))


def bounds_from_toml(path: str | Path) -> Bounds:
    """Read the table `[server]` of a TOML file, which has the fields of `Bounds`; see `apps_from_toml()`."""
    content = _content(path)
    _check_names(content, repr(str(path)))
    try:
        return _BOUNDS.validate_python(content.get("server", {}))
    except ValidationError as error:
        raise ConfigurationError(f"{str(path)!r}: {_told(error, 'server')}") from None


def _app_from_env(env_file: str | Path | None) -> App:
    read_variables = cast("Callable[..., _AppVariables]", _AppVariables)
    try:
        read = read_variables(_env_file=env_file)
    except ValidationError as error:
        missing = ", ".join(str(found["loc"][0]) for found in error.errors(include_input=False))
        raise ConfigurationError(f"missing {missing}: the credentials of the application to serve") from None
    return App(read.app_id, read.key, read.secret.get_secret_value())


def _apps(content: Mapping[str, Any], source: str) -> list[App]:
    _check_names(content, source)
    try:
        return _APPS.validate_python(content.get("apps", []))
    except ValidationError as error:
        raise ConfigurationError(f"{source}: {_told(error, 'apps')}") from None


def _content(path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{str(path)!r} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{str(path)!r} is not TOML: {error}") from None


def _check_names(content: Mapping[str, Any], source: str) -> None:
    if problems := _unknown(content):
        raise ConfigurationError(f"{source}: {'; '.join(problems)}")


def _unknown(content: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the names in *content*, which pydantic would pass over."""
    problems = _misnamed(content, ["apps", "server"], "setting")
    if isinstance(server := content.get("server"), dict):
        problems += _misnamed(server, _names(Bounds), "setting in server")
    apps = content.get("apps", [])
    for index, table in enumerate(apps if isinstance(apps, list) else []):
        if not isinstance(table, dict):
            continue
        where = f"apps[{index}]"
        problems += _misnamed(table, _names(App), f"setting in {where}")
        for name, cls in _TABLES.items():
            inner = table.get(name, [])
            for one in inner if isinstance(inner, list) else [inner]:
                if isinstance(one, dict):
                    problems += _misnamed(one, _names(cls), f"setting in {where}.{name}")
    return problems


def _misnamed(table: Mapping[str, Any], known: list[str], what: str) -> list[str]:
    return [
        f"unknown {what}: {name!r}{suggestion(name, known)}; known: {named(known)}"
        for name in table
        if name not in known
    ]


def _names(cls: Any) -> list[str]:
    return [field.name for field in fields(cls) if field.init]


def _told(error: ValidationError, root: str) -> str:
    """Say what pydantic found, by name only: the values may be secrets."""
    return "; ".join(
        f"{_where(root, found['loc'])}: {found['msg']}"
        for found in error.errors(include_input=False, include_context=False, include_url=False)
    )


def _where(root: str, path: tuple[int | str, ...]) -> str:
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)

"""Where settings stand written: the environment, a `.env` file, a TOML file, a dict.

What is wrong is added to *problems*, by name and never by value, so that one error can tell all of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from broadcaster.errors import ConfigurationError, named, suggestion

__all__ = ["Content", "Variables", "read_content", "read_environment", "read_toml", "told"]

Variables: TypeAlias = Mapping[str, str | None]
"""Every variable of the environment, by its name in lower case."""


class Content(BaseModel):
    """Settings as they are written, whatever holds them."""

    model_config = ConfigDict(extra="forbid")

    driver: str = "log"
    drivers: dict[str, Any] = {}
    queue: str | dict[str, Any] = "sync"
    tracing: bool = False


def read_environment(env_file: str | Path | None, problems: list[str]) -> tuple[Content, Variables]:
    """Read the settings that the environment holds or points to, and all of its variables.

    *env_file* lies beneath the environment, and the file that `BROADCAST_CONFIG` names beneath both.
    Raises `ConfigurationError` when there is no *env_file*.
    """
    if env_file is not None and not Path(env_file).is_file():
        raise ConfigurationError(f"no such file: {str(env_file)!r}")
    env, variables = _read_variables(env_file, problems)
    file = read_toml(env.config, problems) if env.config else Content()
    if env.driver and env.connection and env.driver != env.connection:
        problems.append(
            f"BROADCAST_DRIVER is {env.driver!r} and BROADCAST_CONNECTION is {env.connection!r}; set one"
        )
    driver = env.driver or env.connection or file.driver
    tracing = file.tracing if env.tracing is None else env.tracing
    drivers = _overlaid(file.drivers, env.drivers)
    return Content(driver=driver, drivers=drivers, queue=env.queue or file.queue, tracing=tracing), variables


def read_toml(path: str | Path, problems: list[str]) -> Content:
    """Read the settings in a TOML file; the defaults when they cannot be read."""
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        problems.append(f"cannot read {str(path)!r}: {error.strerror}")
    except UnicodeDecodeError:
        problems.append(f"{str(path)!r} is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{str(path)!r} is not TOML: {error}")
    else:
        return read_content(content, problems)
    return Content()


def read_content(content: Mapping[str, Any], problems: list[str]) -> Content:
    """Check the outer shape of *content*; the defaults when it is wrong."""
    try:
        return Content.model_validate(dict(content))
    except ValidationError as error:
        problems.append(told(error))
    except (TypeError, ValueError):
        problems.append(f"settings are a mapping, not {type(content).__name__}")
    return Content()


def told(error: ValidationError, rename: Callable[[str], str | None] | None = None) -> str:
    """Say what pydantic found, by name only: the values may be secrets.

    *rename* turns pydantic's name of a field into the one that the user wrote, or None to keep it.
    """
    missing: list[str] = []
    wrong: list[str] = []
    for found in error.errors(include_input=False, include_context=False, include_url=False):
        name = ".".join(str(part) for part in found["loc"])
        name = (rename(name) if rename else None) or name
        if found["type"] == "missing":
            missing.append(name)
        elif found["type"] == "extra_forbidden":
            known = list(Content.model_fields)
            wrong.append(f"unknown setting {name!r}{suggestion(name, known)}; known: {named(known)}")
        else:
            wrong.append(f"{name}: {found['msg']}")
    return "; ".join(([f"missing {', '.join(missing)}"] if missing else []) + wrong)


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="BROADCAST_", env_nested_delimiter="__", env_ignore_empty=True, extra="ignore"
    )

    driver: str | None = None
    connection: str | None = None
    config: Path | None = None
    drivers: dict[str, dict[str, Any]] = {}
    queue: str | None = None
    tracing: bool | None = None


def _read_variables(env_file: str | Path | None, problems: list[str]) -> tuple[_Environment, Variables]:
    # Type checkers see the fields only, not the parameters that every BaseSettings takes besides.
    read = cast("Callable[..., _Environment]", _Environment)
    try:
        env = read(_env_file=env_file)
        from_file = DotEnvSettingsSource(_Environment, env_file=env_file).env_vars
        return env, {**from_file, **EnvSettingsSource(_Environment).env_vars}
    except ValidationError as error:
        problems.append(told(error, lambda name: f"BROADCAST_{name.replace('.', '__')}".upper()))
    except SettingsError:
        problems.append("BROADCAST_DRIVERS is not JSON")
    except UnicodeDecodeError:
        problems.append(f"{str(env_file)!r} is not UTF-8")
    return _Environment.model_construct(), {}


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of both; an option *above* goes before the same one *below*."""
    tables = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], Mapping) and isinstance(above[name], Mapping):
            tables[name] = {**below[name], **above[name]}
    return tables

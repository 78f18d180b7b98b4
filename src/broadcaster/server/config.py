"""What `broadcaster serve` reads from the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from broadcaster.errors import ConfigurationError
from broadcaster.server.apps import App

__all__ = ["app_from_env"]


class _AppVariables(BaseSettings):
    """The variables that the `pusher` driver reads too, so that one file serves both sides."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    app_id: str = Field(validation_alias=AliasChoices("PUSHER_APP_ID"))
    key: str = Field(validation_alias=AliasChoices("PUSHER_APP_KEY", "PUSHER_KEY"))
    secret: SecretStr = Field(validation_alias=AliasChoices("PUSHER_APP_SECRET", "PUSHER_SECRET"))


def app_from_env(env_file: str | Path | None = None) -> App:
    """Read `PUSHER_APP_ID`, `PUSHER_APP_KEY` and `PUSHER_APP_SECRET`.

    Raises `ConfigurationError`, which names every one that is missing.
    """
    # Type checkers see the fields only, not the parameters that every BaseSettings takes besides.
    read_variables = cast("Callable[..., _AppVariables]", _AppVariables)
    try:
        read = read_variables(_env_file=env_file)
    except ValidationError as error:
        missing = ", ".join(str(found["loc"][0]) for found in error.errors(include_input=False))
        raise ConfigurationError(f"missing {missing}: the credentials of the application to serve") from None
    return App(read.app_id, read.key, read.secret.get_secret_value())

"""The options of the drivers that have variables of their own; None leaves a driver's own default."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

__all__ = [
    "OPTIONS",
    "AblyOptions",
    "FailoverOptions",
    "LocalOptions",
    "PusherOptions",
    "RedisOptions",
    "StackOptions",
]


def _split(value: object) -> object:
    """Read a list as a variable holds it: its words, with commas between."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


Names: TypeAlias = Annotated[list[str], BeforeValidator(_split), Field(min_length=1)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
Count: TypeAlias = Annotated[int, Field(ge=0)]


class _Options(BaseModel):
    model_config = ConfigDict(populate_by_name=True, frozen=True, coerce_numbers_to_str=True)


class PusherOptions(_Options):
    """Pusher Channels, or a server that speaks its protocol (*host*, *port*, *scheme*)."""

    app_id: str = Field(validation_alias=AliasChoices("PUSHER_APP_ID"))
    key: str = Field(validation_alias=AliasChoices("PUSHER_APP_KEY", "PUSHER_KEY"))
    secret: SecretStr = Field(validation_alias=AliasChoices("PUSHER_APP_SECRET", "PUSHER_SECRET"))
    cluster: str | None = Field(None, validation_alias=AliasChoices("PUSHER_APP_CLUSTER", "PUSHER_CLUSTER"))
    host: str | None = Field(None, validation_alias=AliasChoices("PUSHER_HOST"))
    port: Port | None = Field(None, validation_alias=AliasChoices("PUSHER_PORT"))
    scheme: Literal["http", "https"] | None = Field(None, validation_alias=AliasChoices("PUSHER_SCHEME"))
    path: str | None = Field(None, validation_alias=AliasChoices("PUSHER_PATH"))
    encryption_master_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("PUSHER_ENCRYPTION_MASTER_KEY")
    )
    max_data_size: int | None = Field(None, gt=0, validation_alias=AliasChoices("PUSHER_MAX_DATA_SIZE"))
    idempotent: bool | None = Field(None, validation_alias=AliasChoices("PUSHER_IDEMPOTENT"))
    connect_timeout: Seconds | None = Field(None, validation_alias=AliasChoices("PUSHER_CONNECT_TIMEOUT"))
    read_timeout: Seconds | None = Field(None, validation_alias=AliasChoices("PUSHER_READ_TIMEOUT"))
    retries: Count | None = Field(None, validation_alias=AliasChoices("PUSHER_RETRIES"))


class LocalOptions(_Options):
    """The server in this process."""

    timeout: Seconds | None = Field(None, validation_alias=AliasChoices("BROADCAST_LOCAL_TIMEOUT"))
    encryption_master_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("PUSHER_ENCRYPTION_MASTER_KEY")
    )


class RedisOptions(_Options):
    """Redis: one server, the master that *sentinels* know, or the cluster that *nodes* belong to.

    *url* goes before *host*, *port*, *username*, *password*, *db* and *tls*.
    """

    url: SecretStr | None = Field(None, validation_alias=AliasChoices("REDIS_URL"))
    host: str | None = Field(None, validation_alias=AliasChoices("REDIS_HOST"))
    port: Port | None = Field(None, validation_alias=AliasChoices("REDIS_PORT"))
    username: str | None = Field(None, validation_alias=AliasChoices("REDIS_USERNAME"))
    password: SecretStr | None = Field(None, validation_alias=AliasChoices("REDIS_PASSWORD"))
    db: Count | None = Field(None, validation_alias=AliasChoices("REDIS_DB"))
    tls: bool | None = Field(None, validation_alias=AliasChoices("REDIS_TLS"))
    ca_file: str | None = Field(None, validation_alias=AliasChoices("REDIS_CA_FILE"))
    sentinels: Names | None = Field(None, validation_alias=AliasChoices("REDIS_SENTINELS"))
    sentinel_service: str | None = Field(None, validation_alias=AliasChoices("REDIS_SENTINEL_SERVICE"))
    sentinel_password: SecretStr | None = Field(
        None, validation_alias=AliasChoices("REDIS_SENTINEL_PASSWORD")
    )
    nodes: Names | None = Field(None, validation_alias=AliasChoices("REDIS_CLUSTER_NODES"))
    sharded: bool | None = Field(None, validation_alias=AliasChoices("REDIS_SHARDED"))
    prefix: str | None = Field(None, validation_alias=AliasChoices("REDIS_PREFIX"))
    message_ids: bool | None = Field(None, validation_alias=AliasChoices("REDIS_MESSAGE_IDS"))
    connect_timeout: Seconds | None = Field(None, validation_alias=AliasChoices("REDIS_CONNECT_TIMEOUT"))
    read_timeout: Seconds | None = Field(None, validation_alias=AliasChoices("REDIS_READ_TIMEOUT"))
    retries: Count | None = Field(None, validation_alias=AliasChoices("REDIS_RETRIES"))


class AblyOptions(_Options):
    """An Ably application, by its API key."""

    key: SecretStr = Field(validation_alias=AliasChoices("ABLY_KEY"))
    clients: Literal["pusher", "ably"] | None = Field(None, validation_alias=AliasChoices("ABLY_CLIENTS"))
    endpoint: str | None = Field(None, validation_alias=AliasChoices("ABLY_ENDPOINT"))
    port: Port | None = Field(None, validation_alias=AliasChoices("ABLY_PORT"))
    connect_timeout: Seconds | None = Field(None, validation_alias=AliasChoices("ABLY_CONNECT_TIMEOUT"))
    read_timeout: Seconds | None = Field(None, validation_alias=AliasChoices("ABLY_READ_TIMEOUT"))
    retries: Count | None = Field(None, validation_alias=AliasChoices("ABLY_RETRIES"))


class StackOptions(_Options):
    """Several *drivers* at once, by name."""

    drivers: Names = Field(validation_alias=AliasChoices("BROADCAST_STACK"))


class FailoverOptions(_Options):
    """The first of several *drivers*, by name, that takes a message."""

    drivers: Names = Field(validation_alias=AliasChoices("BROADCAST_FAILOVER"))
    failures: Count | None = Field(None, validation_alias=AliasChoices("BROADCAST_FAILOVER_FAILURES"))
    cooldown: Seconds | None = Field(None, validation_alias=AliasChoices("BROADCAST_FAILOVER_COOLDOWN"))


OPTIONS: dict[str, type[BaseModel]] = {
    "ably": AblyOptions,
    "failover": FailoverOptions,
    "local": LocalOptions,
    "pusher": PusherOptions,
    "redis": RedisOptions,
    "stack": StackOptions,
}
"""The model of each kind's options."""

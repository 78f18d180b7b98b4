"""The options of each engine; None leaves its own default."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

__all__ = ["OPTIONS", "BrokerOptions", "MemoryOptions", "SqliteOptions", "SyncOptions"]

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]


class _Options(BaseModel):
    model_config = ConfigDict(populate_by_name=True, frozen=True, extra="forbid")


class SyncOptions(_Options):
    """The caller delivers."""


class MemoryOptions(_Options):
    """A thread of this process."""

    size: int | None = Field(None, gt=0, validation_alias=AliasChoices("BROADCAST_QUEUE_SIZE"))
    overflow: Literal["raise", "wait", "drop"] | None = Field(
        None, validation_alias=AliasChoices("BROADCAST_QUEUE_OVERFLOW")
    )
    close_seconds: Seconds | None = Field(
        None, validation_alias=AliasChoices("BROADCAST_QUEUE_CLOSE_SECONDS")
    )


class SqliteOptions(_Options):
    """A file on this machine."""

    file: str | None = Field(None, validation_alias=AliasChoices("BROADCAST_QUEUE_FILE"))
    lease: Seconds | None = Field(None, validation_alias=AliasChoices("BROADCAST_QUEUE_LEASE"))


class BrokerOptions(_Options):
    """A broker on the network: Redis, or RabbitMQ where the engine can use that."""

    url: SecretStr | None = Field(None, validation_alias=AliasChoices("BROADCAST_QUEUE_URL"))
    prefix: str | None = Field(None, validation_alias=AliasChoices("BROADCAST_QUEUE_PREFIX"))


OPTIONS: dict[str, type[BaseModel]] = {
    "celery": BrokerOptions,
    "dramatiq": BrokerOptions,
    "memory": MemoryOptions,
    "rq": BrokerOptions,
    "sqlite": SqliteOptions,
    "sync": SyncOptions,
}

"""The driver that publishes messages on Redis, as Laravel does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from broadcaster.channels import Kind
from broadcaster.drivers._processes import PerProcess
from broadcaster.drivers._redis_client import RedisClient
from broadcaster.drivers._redis_flow import Flow, Publication, deliveries
from broadcaster.drivers._redis_options import login_of, servers_of, settled
from broadcaster.drivers._redis_wire import payload, utf8
from broadcaster.drivers.base import Driver
from broadcaster.drivers.signers import EchoServerSigner
from broadcaster.errors import DeliveryError
from broadcaster.messages import Message

__all__ = ["RedisDriver"]


class RedisDriver(Driver):
    """Publishes each message on the Redis channels named *prefix* + channel, for whoever reads Laravel's.

    One server is named by *url*, or where that says nothing by *host* (127.0.0.1), *port* (6379),
    *username*, *password*, *db* and *tls*; the master of *sentinel_service* by its *sentinels*, a cluster
    by some of its *nodes*, both as `host:port`. *ca_file* holds the authorities that TLS trusts besides the
    system's. In a cluster *sharded* publishes with SPUBLISH; None is to do so where the servers can.

    *message_ids* adds the message's id, by which a server of ours drops what it got before; then a message
    whose fate is unknown may be published again, and otherwise only one that surely was not. There are
    *retries* such attempts after the first. Timeouts are in seconds, each for one wait.
    """

    name = "redis"

    def __init__(  # noqa: PLR0913 - one for each variable
        self,
        *,
        url: str | None = None,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        db: int | None = None,
        tls: bool | None = None,
        ca_file: str | None = None,
        sentinels: Iterable[str] | None = None,
        sentinel_service: str | None = None,
        sentinel_password: str | None = None,
        nodes: Iterable[str] | None = None,
        sharded: bool | None = None,
        prefix: str = "",
        message_ids: bool = False,
        connect_timeout: float = 3.0,
        read_timeout: float = 5.0,
        retries: int = 2,
    ) -> None:
        given = settled(
            {
                "url": url,
                "host": host,
                "port": port,
                "username": username,
                "password": password,
                "db": db,
                "tls": tls,
                "ca_file": ca_file,
                "sentinels": sentinels,
                "sentinel_service": sentinel_service,
                "sentinel_password": sentinel_password,
                "nodes": nodes,
                "sharded": sharded,
            }
        )
        self._servers = servers_of(given)
        self._login = login_of(given, connect_timeout=connect_timeout, read_timeout=read_timeout)
        self._prefix = prefix
        self._message_ids = message_ids
        self._retries = retries
        self._client = PerProcess(lambda: RedisClient(self._login))

    @property
    def signer(self) -> EchoServerSigner:
        """What answers laravel-echo-server, which reads what Laravel publishes."""
        return EchoServerSigner()

    def deliver(self, message: Message) -> None:
        """Publish *message* on all its channels at once."""
        self._client.value.run(self._flow((message,)))

    async def adeliver(self, message: Message) -> None:
        """Publish *message* on all its channels at once."""
        await self._client.value.arun(self._flow((message,)))

    def deliver_many(self, messages: Sequence[Message]) -> None:
        """Publish *messages* in order, up to 1,000 in one round trip; stop after one that fails."""
        self._client.value.run(self._flow(messages))

    async def adeliver_many(self, messages: Sequence[Message]) -> None:
        """Publish *messages* in order, up to 1,000 in one round trip; stop after one that fails."""
        await self._client.value.arun(self._flow(messages))

    def close(self) -> None:
        """Close the connections that threads use."""
        if client := self._client.held:
            client.close()

    async def aclose(self) -> None:
        """Close the connections that threads use, and those of the running event loop."""
        if client := self._client.held:
            await client.aclose()

    def _flow(self, messages: Sequence[Message]) -> Flow:
        return deliveries(
            self._publications(messages),
            self._servers,
            driver=self.name,
            retries=self._retries,
            repeatable=self._message_ids,
        )

    def _publications(self, messages: Sequence[Message]) -> Iterator[Publication]:
        for message in messages:
            for channel in message.channels:
                if channel.startswith(Kind.ENCRYPTED.value):
                    reason = f"cannot encrypt, and does not send {channel!r} in the clear"
                    raise DeliveryError(reason, driver=self.name, status=400)
            try:
                text = payload(message, with_id=self._message_ids)
            except (ValueError, RecursionError) as error:
                reason = f"the data of {message.name!r} is no JSON that can be read"
                raise DeliveryError(reason, driver=self.name, status=400) from error
            for channel in message.channels:
                yield utf8(self._prefix + channel), text

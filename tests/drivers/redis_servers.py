"""Real Redis on the loopback interface: one server, a cluster, a master that a sentinel watches."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import redis
import trustme

from tests.drivers.proxy import Proxy
from tests.ports import free_port

PASSWORD = "correct horse:battery/staple"
SECONDS = 20.0


def eventually(condition: Callable[[], Any]) -> Any:
    """Return what *condition* returns once that is true; connections that break meanwhile are no failure."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if found := condition():
                return found
        except (redis.RedisError, OSError) as error:
            problem: object = error
        else:
            problem = "the condition did not come true"
        # No pause: each look is a round trip to a server.
        assert time.monotonic() < deadline, problem


class RedisServer:
    """One `redis-server` that keeps nothing on disk; it stays at its port when it is started again."""

    def __init__(self, folder: Path, *options: str, password: str | None = PASSWORD, port: int = 0) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._options = [*options, *(("--requirepass", password) if password else ())]
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Any] = []

    def client(self, **options: Any) -> Any:
        """Connect to it, past whatever stands before it; half of the client's methods have no types."""
        self._clients.append(redis.Redis(port=self.port, password=self._password, **options))
        return self._clients[-1]

    def url(self, port: int | None = None) -> str:
        """Return its URL, or that of a proxy before it."""
        password = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"redis://{password}127.0.0.1:{port or self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is missing; install it, for instance with: apt-get install redis-server"
        quiet = ["--save", "", "--appendonly", "no", "--loglevel", "warning", "--bind", "127.0.0.1"]
        quiet += ["--repl-diskless-sync-delay", "0"]
        said = self._folder / f"redis-{self.port}.out"
        with said.open("ab") as out:
            self._process = subprocess.Popen(
                [program, *self._arguments(), *quiet, "--dir", str(self._folder), *self._options],
                stdout=out,
                stderr=out,
            )
        try:
            with socket_client(self.port, self._password) as client:
                eventually(lambda: self._has_ended() or client.ping())
            assert not self._has_ended(), said.read_text("utf-8")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None

    def freeze(self) -> None:
        """Let it stand still: it takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _arguments(self) -> list[str]:
        return ["--port", str(self.port)]

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self.stop()


class TlsServer(RedisServer):
    """One server that speaks TLS as well, as 127.0.0.1; *ca_file* holds who says so."""

    def __init__(self, folder: Path) -> None:
        self.tls_port, self.ca_file = free_port(), str(folder / "ca.pem")
        authority, key, chain = trustme.CA(), str(folder / "key.pem"), str(folder / "chain.pem")
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.ca_file)
        certificate.private_key_pem.write_to_path(key)
        certificate.cert_chain_pems[0].write_to_path(chain)
        files = ["--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", self.ca_file]
        super().__init__(folder, "--tls-port", str(self.tls_port), "--tls-auth-clients", "no", *files)


class Sentinel(RedisServer):
    """One `redis-server --sentinel` that decides alone, and soon."""

    def __init__(self, folder: Path, master: RedisServer, *, password: str | None = None) -> None:
        super().__init__(folder, password=password)
        self._config = folder / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\n"
            f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
            f'sentinel auth-pass shop "{PASSWORD}"\n'
            "sentinel down-after-milliseconds shop 300\n"
            "sentinel failover-timeout shop 2000\n",
            "utf-8",
        )

    def _arguments(self) -> list[str]:
        return [str(self._config), "--sentinel"]


@dataclass
class Watched:
    """A master and its replica, whom a sentinel watches under the name of shop."""

    master: RedisServer
    replica: RedisServer
    sentinel: Sentinel

    @property
    def url(self) -> str:
        """The URL that the server half knows it by."""
        return f"redis+sentinel://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.sentinel.port}/shop"

    def promote(self) -> None:
        """Swap the roles of master and replica by hand, behind the sentinel's back."""
        self.replica.client().execute_command("REPLICAOF", "NO", "ONE")
        self.master.client().execute_command("REPLICAOF", "127.0.0.1", self.replica.port)

    def tell_sentinel(self) -> None:
        """Tell the sentinel that the replica is the master now."""
        sentinel = self.sentinel.client()
        sentinel.execute_command("SENTINEL", "REMOVE", "shop")
        sentinel.execute_command("SENTINEL", "MONITOR", "shop", "127.0.0.1", self.replica.port, 1)
        sentinel.execute_command("SENTINEL", "SET", "shop", "auth-pass", PASSWORD)

    def named(self) -> int:
        """Return the port of the server that the sentinel takes for the master."""
        return int(self.sentinel.client().sentinel_get_master_addr_by_name("shop")[1])


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Run a master, a replica that follows it, and a sentinel that knows both."""
    with ExitStack() as running:
        master, sentinel_folder = RedisServer(folder, "--masterauth", PASSWORD), folder / "sentinel"
        follow = ["--replicaof", "127.0.0.1", str(master.port), "--masterauth", PASSWORD]
        replica = RedisServer(folder, *follow)
        sentinel_folder.mkdir()
        sentinel = Sentinel(sentinel_folder, master)
        for server in (master, replica, sentinel):
            running.enter_context(server)
        eventually(lambda: replica.client().info("replication")["master_link_status"] == "up")
        asked = sentinel.client()
        eventually(lambda: [one["flags"] for one in asked.sentinel_slaves("shop")] == ["slave"])
        yield Watched(master, replica, sentinel)


class ClusterNode(RedisServer):
    """One node of a cluster; clients are told to find it at *told_port*, or else where it is."""

    def __init__(self, folder: Path, *options: str, port: int = 0, told_port: int = 0) -> None:
        # Left to itself it would take its port and 10,000, which an outgoing connection may have got.
        self.bus_port = free_port()
        named = {"enabled": "yes", "port": self.bus_port, "announce-port": told_port, "node-timeout": 2000}
        words = ["--masterauth", PASSWORD]
        words += [word for name, value in named.items() for word in (f"--cluster-{name}", str(value))]
        super().__init__(folder, *words, *options, port=port)


class Cluster:
    """Three masters that share the slots, each behind a proxy, whose address is the one it tells."""

    def __init__(
        self, servers: Sequence[ClusterNode], proxies: Sequence[Proxy], replica: ClusterNode | None = None
    ) -> None:
        self.servers = servers
        self.proxies = proxies
        self._replica = replica

    @property
    def addresses(self) -> list[str]:
        """Where the nodes are, for clients."""
        return [f"127.0.0.1:{proxy.port}" for proxy in self.proxies]

    @property
    def replica(self) -> ClusterNode:
        """Who follows the first of the masters."""
        assert self._replica is not None
        return self._replica

    @property
    def url(self) -> str:
        """The URL that the server half knows it by."""
        return f"redis+cluster://:{quote(PASSWORD, safe='')}@{','.join(self.addresses)}"

    def owner(self, channel: str) -> int:
        """Return which of the masters has the slot of *channel*, as long as none was moved."""
        return int(self.servers[0].client().execute_command("CLUSTER KEYSLOT", channel)) * 3 // 16_384

    def move(self, key: str, *, to: int) -> None:
        """Let another node own the slot of *key*, which the first master has, with all keys in it."""
        old, new = self.servers[0].client(), self.servers[to].client()
        slot = old.execute_command("CLUSTER KEYSLOT", key)
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old.execute_command("CLUSTER MYID"))
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new.execute_command("CLUSTER MYID"))
        while keys := old.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            where = ("127.0.0.1", self.servers[to].port, "", 0, int(SECONDS * 1000))
            old.execute_command("MIGRATE", *where, "AUTH", PASSWORD, "KEYS", *keys)
        self.give(key, to=to)

    def follow(self, server: ClusterNode) -> None:
        """Let *server*, which is in the cluster, be the replica of the first master."""
        name = self.servers[0].client().execute_command("CLUSTER MYID")
        client = server.client()
        eventually(lambda: client.execute_command("CLUSTER REPLICATE", name))
        eventually(lambda: client.info("replication")["master_link_status"] == "up")
        eventually(lambda: all(name in _replicas(one.client()) for one in self.servers))

    def isolate(self) -> None:
        """Cut the first master off from the others; it does not know that its replica takes over."""
        old, others = self.servers[0].client(), [*self.servers[1:], self.replica]
        for other in others:
            old.execute_command("CLUSTER FORGET", other.client().execute_command("CLUSTER MYID"))
        self.replica.client().execute_command("CLUSTER FAILOVER", "TAKEOVER")

    def wait(self) -> None:
        """Return when every node agrees that the cluster is well."""
        for server in self.servers:
            eventually(partial(self._is_well, server.client()))

    def give(self, channel: str, *, to: int) -> None:
        """Let another node own the slot of *channel*; return when every node says so."""
        slot = self.servers[0].client().execute_command("CLUSTER KEYSLOT", channel)
        name = self.servers[to].client().execute_command("CLUSTER MYID")
        # First the one that gets it, or it takes the claim of the other for newer than its own.
        order = sorted(self.servers, key=lambda server: server is not self.servers[to])

        def is_given() -> bool:
            for server in order:
                server.client().execute_command("CLUSTER SETSLOT", slot, "NODE", name)
            # What the other said just before would be believed again, as long as its epoch is the newer one.
            order[0].client().execute_command("CLUSTER BUMPEPOCH")
            return all(_owner(server.client(), slot) == name for server in order)

        # What was on the way between them when they were told may have undone it.
        eventually(is_given)

    def _is_well(self, client: Any) -> bool:
        told = {master[1] for _, _, master, *_ in client.execute_command("CLUSTER SLOTS")}
        ports = {proxy.port for proxy in self.proxies}
        return told == ports and client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"


def _owner(client: Any, slot: int) -> bytes:
    """Return the name of the master that has *slot*, as a node of the cluster knows it."""
    shares = client.execute_command("CLUSTER SLOTS")
    owners = [master[2] for first, last, master, *_ in shares if first <= slot <= last]
    return bytes(owners[0])


def _replicas(client: Any) -> set[bytes]:
    """Return the names of the masters that have a replica, as a node of the cluster knows it."""
    nodes = client.execute_command("CLUSTER NODES")
    return {node["master_id"].encode() for node in nodes.values() if "slave" in node["flags"]}


@contextmanager
def cluster(folder: Path, *, with_replica: bool = False) -> Iterator[Cluster]:
    """Run a cluster of three nodes, and a replica of the first."""
    bounds = [0, 5462, 10923, 16384]
    with ExitStack() as running:
        servers, proxies = [], []
        for number in range(3):
            port = free_port()
            proxies.append(running.enter_context(Proxy(port)))
            (home := folder / f"node-{number}").mkdir()
            servers.append(running.enter_context(ClusterNode(home, port=port, told_port=proxies[-1].port)))
        for number, server in enumerate(servers):
            client = server.client()
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            for other in servers[:number]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, other.bus_port)
        replica = None
        if with_replica:
            port = free_port()
            proxy = running.enter_context(Proxy(port))
            (home := folder / "replica").mkdir()
            replica = running.enter_context(ClusterNode(home, port=port, told_port=proxy.port))
            replica.client().execute_command(
                "CLUSTER MEET", "127.0.0.1", servers[0].port, servers[0].bus_port
            )
        made = Cluster(servers, proxies, replica)
        made.wait()
        if replica is not None:
            made.follow(replica)
        yield made


@contextmanager
def socket_client(port: int, password: str | None) -> Iterator[redis.Redis]:
    """Connect for a moment."""
    with redis.Redis(port=port, password=password) as client:
        yield client

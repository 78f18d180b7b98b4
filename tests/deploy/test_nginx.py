from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from broadcaster.protocol.limits import Limits
from broadcaster.server import Bounds
from tests.e2e.children import START, Child
from tests.waits import until

from .contract import Address, ProxyContract
from .files import DEPLOY, compose
from .site import Certificate, Site

CONFIGURATION = DEPLOY / "nginx" / "broadcaster.conf"
SECONDS = 20


def main_file(folder: Path, configuration: Path = CONFIGURATION) -> Path:
    """Write what a distribution has as /etc/nginx/nginx.conf: what includes the file below."""
    path = folder / "nginx.conf"
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(
        f"pid {folder}/nginx.pid; worker_processes 2; error_log stderr warn;\n"
        "events { worker_connections 512; }\n"
        f"http {{ {places} access_log off; include {configuration}; }}\n"
    )
    return path


class TestNginx(ProxyContract):
    @contextmanager
    def proxy(self, folder: Path, site: Site, to: Sequence[Address]) -> Iterator[None]:
        (yours := folder / "broadcaster").mkdir()
        (yours / "nodes.conf").write_text(
            "".join(f"server {address} max_fails=1 fail_timeout=5s;" for address in to)
        )
        (yours / "site.conf").write_text(
            f"listen 127.0.0.1:{site.port} ssl;"
            f"ssl_certificate {site.certificate.chain}; ssl_certificate_key {site.certificate.key};"
            f"access_log {folder}/access.log broadcaster;"
        )
        daemon = ["-g", "daemon off;"]
        child = Child(
            "nginx", "-p", str(folder), "-e", "stderr", "-c", str(main_file(folder)), *daemon, stdout=None
        )
        try:
            child.until(lambda: _answers(site), seconds=START)
            yield
        finally:
            child.end(signal.SIGTERM)

    def test_its_log_has_no_signatures(self, run: object, site: Site, tmp_path: Path) -> None:
        assert callable(run)
        run(count=1)

        site.status("/apps/3/channels?auth_key=k&auth_signature=hush")

        until(lambda: "/apps/3/channels" in (tmp_path / "access.log").read_text())
        assert "hush" not in (tmp_path / "access.log").read_text()


def _answers(site: Site) -> bool:
    try:
        return site.status("/livez") == 404
    except OSError:
        return False


def directives(name: str) -> list[str]:
    return re.findall(rf"^\s*{name} ([^;]+);", CONFIGURATION.read_text(), re.MULTILINE)


def check(folder: Path, *words: str) -> None:
    """Let nginx read what is in *folder*, and start nothing."""
    command = [
        "nginx",
        "-t",
        "-q",
        "-p",
        str(folder),
        "-e",
        "stderr",
        "-c",
        str(folder / "nginx.conf"),
        *words,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stderr


def test_the_files_are_right_as_they_are_shipped(tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY / "nginx", tmp_path / "nginx")
    certificate = Certificate.write(tmp_path)
    certificate.chain.rename(folder / "broadcaster" / "fullchain.pem")
    certificate.key.rename(folder / "broadcaster" / "privkey.pem")
    site = folder / "broadcaster" / "site.conf"
    site.write_text(site.read_text().replace("/var/log/nginx", str(tmp_path)))

    main_file(folder, folder / CONFIGURATION.name)

    check(folder)


def test_the_files_of_compose_are_right_as_they_are_shipped(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "compose" / "nginx", tmp_path / "broadcaster")
    services = compose()["services"]
    for path in (tmp_path / "broadcaster").rglob("*.conf"):
        text = path.read_text()
        for name, service in services.items():
            # There is nobody here who knows these names; in compose there is.
            text = text.replace(f"{name}:", f"{service['networks']['inside']['ipv4_address']}:")
        path.write_text(text)

    main_file(tmp_path)

    check(tmp_path)


def test_compose_names_its_own_services(tmp_path: Path) -> None:
    text = "".join(path.read_text() for path in (DEPLOY / "compose" / "nginx").rglob("*.conf"))
    named = set(re.findall(r"^(?:server|\s+proxy_pass) (?:http://)?([\w-]+):", text, re.MULTILINE))

    assert named == {"node-1", "node-2", "app"}
    assert named <= set(compose()["services"])


def test_a_silent_client_may_stay_until_the_node_itself_asks_for_it() -> None:
    limits = Limits()

    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        (value,) = directives(name)
        assert int(value.removesuffix("s")) > limits.activity_timeout + limits.pong_timeout


def test_a_connection_that_is_kept_for_the_next_request_ends_before_the_node_ends_it() -> None:
    (value,) = directives("keepalive_timeout")

    assert int(value.split("s")[0]) < Bounds().idle_seconds


@pytest.mark.parametrize("name", ["ip_hash", "sticky", "hash"])
def test_nothing_is_sticky(name: str) -> None:
    assert not re.search(rf"^\s*{name}\b", CONFIGURATION.read_text(), re.MULTILINE)

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from broadcaster.server import Bounds
from tests.e2e.children import START, Child
from tests.ports import free_port

from .contract import Address, ProxyContract
from .files import DEPLOY
from .site import Site

CADDYFILE = DEPLOY / "caddy" / "Caddyfile"
RUN = ["--config", str(CADDYFILE), "--adapter", "caddyfile"]
SECONDS = 20


class TestCaddy(ProxyContract):
    @contextmanager
    def proxy(self, folder: Path, site: Site, to: Sequence[Address]) -> Iterator[None]:
        env = _environment(folder) | {
            "BROADCASTER_SITE": f"https://127.0.0.1:{site.port}",
            "BROADCASTER_NODES": " ".join(to),
            "BROADCASTER_TLS": f"tls {site.certificate.chain} {site.certificate.key}",
            "BROADCASTER_HTTPS_PORT": str(site.port),
            "BROADCASTER_HTTP_PORT": str(free_port()),
            "BROADCASTER_ADMIN": "off",
        }
        child = Child("caddy", "run", *RUN, env=env, stdout=None)
        try:
            child.until(lambda: _answers(site), seconds=START)
            yield
        finally:
            child.end(signal.SIGTERM)


def _answers(site: Site) -> bool:
    try:
        return site.status("/livez") == 404
    except OSError:
        return False


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment, with *folder* for whatever Caddy keeps."""
    return os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


def adapted(folder: Path) -> str:
    """Return what Caddy makes of the file as it is shipped, as JSON."""
    command = ["caddy", "adapt", "--validate", *RUN]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env=_environment(folder)
    )
    assert result.returncode == 0, result.stderr
    assert "WARN" not in result.stderr
    return result.stdout


def test_the_file_is_right_as_it_is_shipped(tmp_path: Path) -> None:
    text = adapted(tmp_path)

    assert '"host":["ws.example.com"]' in text
    assert text.count('"dial":"10.0.0.11:6001"') == text.count('"dial":"10.0.0.12:6001"') == 2


def test_a_connection_that_is_kept_for_the_next_request_ends_before_the_node_ends_it() -> None:
    (seconds,) = re.findall(r"keepalive (\d+)s", CADDYFILE.read_text())

    assert int(seconds) < Bounds().idle_seconds


def test_every_variable_is_explained_at_the_top() -> None:
    head, _, rest = CADDYFILE.read_text().partition("\n{")

    assert set(re.findall(r"\{\$(\w+)", rest)) == set(re.findall(r"BROADCASTER_\w+", head))

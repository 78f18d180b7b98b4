# /// script
# requires-python = ">=3.11"
# dependencies = ["nox[uv]>=2025.2"]
# ///
"""Every check of this project: `uv run noxfile.py` runs them all, `-s NAME` one of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nox

REDIS = {"redis-cli": "redis-tools", "redis-server": "redis-server"}
"""The programs of Redis, and the Debian packages that hold them."""

RABBITMQ = {"epmd": "erlang-base", "rabbitmq-server": "rabbitmq-server"}
"""The same of RabbitMQ, whose tests start nodes of their own."""

COMPILER = {"cc": "build-essential"}
"""The same of what our part in C, and the clients of the benchmarks, are compiled with."""

OUTBOX = Path(__file__).parent / "src/broadcaster/server"
"""Where our part in C is compiled to."""

MODELS = [
    "tests/cluster/test_roster.py",
    "tests/protocol/test_hub_fuzz.py",
    "tests/protocol/test_hub_machine.py",
    "tests/server/test_histories_machine.py",
]
"""What is tried twenty times as often in a soak as otherwise."""


def pythons() -> list[str]:
    """Return the supported versions that are installed here; nothing is downloaded."""
    found = [version for version in ["3.11", "3.12", "3.13", "3.14"] if _is_installed(version)]
    return found or [f"{sys.version_info.major}.{sys.version_info.minor}"]


def _is_installed(version: str) -> bool:
    command = ["uv", "python", "find", "--no-python-downloads", "--no-project", version]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# Where it is set, as in many containers, each of the hundreds of Pythons that the tests start would
# compile everything anew: that is most of their time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that starts this in the background has Ctrl-C ignored, also by the programs on which tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "docs", "e2e", "deploy", "bench"]


def install(session: nox.Session, group: str) -> None:
    """Install the project and one dependency group, as `uv.lock` has them."""
    # What was built before there was a compiler, uv would take from its cache.
    is_built = any(OUTBOX.glob("_outbox.*.so")) or shutil.which("cc") is None
    session.run_install(
        "uv", "sync", "--quiet", "--locked", "--no-default-groups",
        f"--group={group}", f"--python={session.virtualenv.location}",
        *([] if is_built else ["--reinstall-package=broadcaster-kit"]),
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )  # fmt: skip


def need(session: nox.Session, programs: dict[str, str]) -> None:
    """Install the Debian packages that hold *programs* where they are missing and this is root."""
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        session.error(f"missing {', '.join(missing)}: install them with your system's package manager")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    session.run("apt-get", "update", "-qq", external=True, env=env)
    session.run(
        "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, external=True, env=env
    )


@nox.session(python=pythons())
def tests(session: nox.Session) -> None:
    """Run the test-suite on every Python that is here, five modules at a time: most of them wait."""
    need(session, REDIS | RABBITMQ | COMPILER)
    install(session, "test")
    # In the order of the folders: by default what has the most tests comes first, and the slow last.
    session.run("pytest", "--numprocesses=5", "--dist=loadfile", "--no-loadscope-reorder", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with mypy, strictly, and with pyright."""
    install(session, "types")
    session.run("mypy")
    session.run("pyright", env={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and form with ruff."""
    install(session, "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages, strictly, and run every Python block in them."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("pytest", "docs", "README.md", "-q")


@nox.session
def e2e(session: nox.Session) -> None:
    """Run the real clients, in Node and in Chromium, against the real server; then against four of them."""
    need(session, REDIS | {"node": "nodejs", "npm": "npm", "chromium": "chromium"})
    install(session, "e2e")
    with session.chdir("tests/e2e"):
        session.run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", external=True)
    # Three at a time: whom a server refused, pusher-js lets wait for fifteen seconds.
    pytest = ["pytest", "tests/e2e", "--numprocesses=3", "--dist=loadgroup"]
    session.run(*pytest, *session.posargs)
    # The demo has a server of its own.
    session.run(*pytest, "--group", "--ignore=tests/e2e/test_demo.py", *session.posargs)


@nox.session
def deploy(session: nox.Session) -> None:
    """Check the files in deploy/, and run the proxies and commands in them."""
    need(session, COMPILER | REDIS | {"caddy": "caddy", "nginx": "nginx", "systemd-analyze": "systemd"})
    install(session, "deploy")
    session.run("pytest", "tests/deploy", "--numprocesses=2", "--dist=loadfile", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, and print ratios; without options quickly, without peers that must be fetched."""
    need(session, REDIS | COMPILER)
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["--quick"]))


@nox.session
def soak(session: nox.Session) -> None:
    """Run what takes its time: nonsense by the million, stalls, churn, killed workers, broken nodes."""
    need(session, REDIS | RABBITMQ)
    install(session, "test")
    session.run("python", "-m", "tests.soak.fuzz", *session.posargs)
    session.run("pytest", "--hypothesis-profile=soak", *MODELS)
    session.run("python", "-m", "tests.soak.stalled")
    session.install("atheris")
    session.run("python", "-m", "tests.soak.guided", "-atheris_runs=400000", "-max_len=2000")
    session.run("python", "-m", "tests.soak.churn")
    for engine in ("sqlite", "dramatiq-redis", "dramatiq-rabbitmq", "celery", "rq"):
        session.run("python", "-m", "tests.soak.jobs", engine)
    session.run("python", "-m", "tests.soak.faults")


if __name__ == "__main__":
    nox.main()

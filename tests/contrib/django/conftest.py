"""One Django for all tests beneath this folder, with databases in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.core.management import call_command
from django.db import connections

from .project import set_up

_FOLDER = TemporaryDirectory(prefix="broadcaster-django-")
set_up(Path(_FOLDER.name))


def pytest_unconfigure() -> None:
    connections.close_all()
    _FOLDER.cleanup()


@pytest.fixture(scope="session")
def tables() -> None:
    """Make the tables of both databases, once."""
    for name in connections:
        call_command("migrate", run_syncdb=True, verbosity=0, database=name)
    connections.close_all()


@pytest.fixture
def database(tables: None) -> Iterator[None]:
    """Let a test write, and leave nothing of it."""
    yield
    for name in connections:
        call_command("flush", interactive=False, verbosity=0, database=name)
    connections.close_all()

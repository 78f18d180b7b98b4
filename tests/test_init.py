from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

import broadcaster


def fresh(program: str) -> str:
    """Run *program* in a Python of its own and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_the_package_loads_nothing_beyond_the_standard_library() -> None:
    program = "import sys; before = set(sys.modules); import broadcaster; print(*(set(sys.modules) - before))"

    loaded = {name.partition(".")[0] for name in fresh(program).split()}

    assert "broadcaster" in loaded
    assert loaded - {"broadcaster"} <= sys.stdlib_module_names


def test_a_name_loads_its_own_module_and_what_that_needs() -> None:
    program = "import sys; from broadcaster import PrivateChannel; print(*sys.modules)"

    loaded = {name for name in fresh(program).split() if name.startswith("broadcaster")}

    assert loaded == {"broadcaster", "broadcaster.channels", "broadcaster.errors"}


@pytest.mark.parametrize("name", broadcaster.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(broadcaster, name)

    home = import_module(f"broadcaster.{broadcaster._HOMES[name]}")
    assert value is getattr(home, name)
    assert name.startswith("__") or name in home.__all__


def test_the_public_names_are_sorted_and_listed_once() -> None:
    assert broadcaster.__all__ == sorted(set(broadcaster.__all__))
    assert dir(broadcaster) == broadcaster.__all__


def test_type_checkers_see_what_is_loaded() -> None:
    tree = ast.parse(Path(broadcaster.__file__).read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))

    seen = {
        (node.module or "").removeprefix("broadcaster."): [alias.name for alias in node.names]
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
    }

    assert seen == broadcaster._MODULES
    assert sorted(broadcaster._HOMES) == broadcaster.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'broadcaster' has no attribute 'Broadcaster'"):
        _ = broadcaster.Broadcaster
    with pytest.raises(ImportError, match="cannot import name 'Broadcaster'"):
        exec("from broadcaster import Broadcaster")


def test_a_star_import_brings_the_public_names() -> None:
    names: dict[str, object] = {}

    exec("from broadcaster import *", names)

    assert set(broadcaster.__all__) <= set(names)


def test_the_version_is_that_of_the_distribution() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", broadcaster.__version__)
    assert broadcaster.__version__ == metadata.version("broadcaster-kit")


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(broadcaster.__file__).parent / "py.typed").is_file()

"""Compiles the C part of the server into the wheel, where that can be; without it Python does its work."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

_MODULE = "broadcaster.server._outbox"
_TAG = "cp311"
"""The oldest Python whose stable ABI the C part keeps to; all later ones run it, too."""


class Accelerator(BuildHookInterface[Any]):
    """Adds one compiled module, and says in the wheel's name what it runs on.

    `BROADCAST_PURE_PYTHON=1` makes a wheel without it, which runs everywhere.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile it before the wheel is packed, or before an editable install points to the source."""
        if self.target_name != "wheel" or not _is_wanted():
            return
        path = Path("src", *_MODULE.split("."))
        try:
            compiled = _compiled(str(path.with_suffix(".c")), Path(self.root, path.parent))
        except (BaseError, CCompilerError, OSError) as error:
            self.app.display_warning(f"The C part of the server is left out, Python does its work: {error}")
            return
        if version != "editable":
            build_data["force_include"][str(compiled)] = str(compiled.relative_to(Path(self.root, "src")))
        build_data["pure_python"] = False
        build_data["tag"] = f"{_TAG}-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def _is_wanted() -> bool:
    return (
        os.environ.get("BROADCAST_PURE_PYTHON") != "1"
        and platform.python_implementation() == "CPython"
        and sys.platform != "win32"
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
    )


def _compiled(source: str, folder: Path) -> Path:
    """Compile *source* into *folder*; raise one of setuptools' errors where that fails."""
    extension = Extension(_MODULE, [source], py_limited_api=True, extra_compile_args=["-O2"])
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = build_ext(Distribution({"name": "broadcaster", "ext_modules": [extension]}))
        command.build_lib = command.build_temp = temporary
        command.ensure_finalized()
        command.run()
        built = Path(temporary, command.get_ext_filename(command.get_ext_fullname(_MODULE)))
        # Whoever runs the one that is there keeps it.
        return built.replace(folder / built.name)

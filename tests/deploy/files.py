"""What the files in deploy/ say."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "DEPLOY",
    "ROOT",
    "Stage",
    "compose",
    "dockerfile",
    "interpolated",
    "manifests",
    "unit",
    "unit_command",
]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@dataclass
class Stage:
    """One stage of a Dockerfile: what it stands on, and its instructions in order."""

    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Return the arguments of every instruction *name*."""
        return [argument for instruction, argument in self.instructions if instruction == name]

    def words(self, name: str) -> list[str]:
        """Return the words of the last instruction *name*, which has to be in the exec form."""
        words: list[str] = json.loads(self.all(name)[-1])
        return words


def dockerfile() -> dict[str, Stage]:
    """Return the stages of the Dockerfile by their names."""
    stages: dict[str, Stage] = {}
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, argument = line.partition(" ")
        if name == "FROM":
            parent, _, stage = argument.partition(" AS ")
            stages[stage] = Stage(parent)
        elif line and stages:
            list(stages.values())[-1].instructions.append((name, argument.strip()))
    return stages


def compose() -> dict[str, Any]:
    """Return what compose.yaml says, its variables as they are written."""
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return content


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Return *text* as docker compose reads it; a variable that is missing and has no default is an error."""

    def value(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        found = variables.get(match["name"])
        if not found and match["kind"] == ":?":
            raise KeyError(match["name"])
        return found or match["rest"] or ""

    return re.sub(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<kind>:[?-])(?P<rest>[^}]*))?\})", value, text)


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the manifests of Kubernetes, and the files that they are in."""
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def unit(name: str = "broadcaster") -> dict[str, list[str]]:
    """Return the settings of the systemd unit of that name; a setting may be there more than once."""
    settings: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / f"{name}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


def unit_command(name: str = "broadcaster") -> list[str]:
    """Return the words of the command that the systemd unit of that name starts."""
    return shlex.split(unit(name)["ExecStart"][0])

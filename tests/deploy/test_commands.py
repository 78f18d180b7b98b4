"""The commands in the files of deploy/, against the program as it is."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from broadcaster.cli import app

from .files import DEPLOY, ROOT, compose, dockerfile, manifests, unit_command

PAGE = ROOT / "docs" / "how-to" / "deploy.md"
CONFIGURATION = ROOT / "docs" / "reference"


def commands() -> dict[str, list[str]]:
    """Return the words after `broadcaster`, by where they stand."""
    server = dockerfile()["server"]
    assert server.words("ENTRYPOINT") == ["broadcaster"]
    found = {"Dockerfile": server.words("CMD"), "systemd": unit_command()[1:]}
    found["systemd worker"] = unit_command("broadcaster-worker")[1:]
    for name, service in compose()["services"].items():
        if service.get("build", {}).get("target") == "server":
            found[f"compose.yaml {name}"] = service["command"]
    for path, manifest in manifests():
        if manifest["kind"] == "Deployment":
            found[path.name] = manifest["spec"]["template"]["spec"]["containers"][0]["args"]
    for number, line in enumerate(re.findall(r"^broadcaster (.+)$", PAGE.read_text(), re.MULTILINE)):
        found[f"deploy.md {number}"] = shlex.split(line, comments=True)
    return found


def parse(words: list[str]) -> None:
    """Read *words* as `broadcaster` does, and do nothing else."""
    group = typer.main.get_command(app)
    with group.make_context("broadcaster", list(words)) as context:
        name, command, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
        with command.make_context(name, rest, parent=context):
            pass


@pytest.mark.parametrize("where", commands())
def test_every_command_is_one_that_the_program_takes(where: str) -> None:
    parse(commands()[where])


def test_an_option_that_does_not_exist_would_be_found() -> None:
    words = [*commands()["Dockerfile"], "--workerz", "2"]

    with pytest.raises(Exception, match="No such option"):
        parse(words)


def test_every_server_in_them_is_reached_from_other_machines_at_one_port() -> None:
    for words in commands().values():
        if words[0] == "serve" and "--dev" not in words:
            assert words[words.index("--host") + 1] == "0.0.0.0"
            assert words[words.index("--port") + 1] == "6001"


def test_every_variable_in_them_is_documented() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix not in {".conf", ""}]
    texts = [path.read_text() for path in files]
    used = {name for text in texts for name in re.findall(r"\b(?:PUSHER|BROADCAST|REDIS)_[A-Z_]+\b", text)}

    documented = "".join(path.read_text() for path in CONFIGURATION.glob("*.md"))

    assert {"PUSHER_APP_SECRET", "BROADCAST_SERVER_REDIS", "REDIS_MESSAGE_IDS"} <= used
    assert not {name for name in used if f"`{name}`" not in documented}

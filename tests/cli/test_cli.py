import subprocess
import sys

from broadcaster import __version__
from tests.programs import python


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "broadcaster", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"{__version__}\n"


def test_help_names_every_command() -> None:
    text = run("--help").stdout

    assert all(command in text for command in ("serve", "demo"))


def test_without_the_extra_the_command_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from broadcaster.__main__ import main; main()"

    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )

    assert finished.returncode == 1
    assert finished.stderr == (
        "broadcaster: 'typer' is not installed; install it with: pip install 'broadcaster-kit[cli]'\n"
    )


def test_a_worker_needs_no_server() -> None:
    program = """
from broadcaster.cli import app
from broadcaster.errors import MissingExtra
for command in ("work", "queue"):
    app([command, "--help"], standalone_mode=False)
for command in ("serve", "listen", "restart"):
    try:
        app([command, "--help", "--port", "1"], standalone_mode=False)
    except MissingExtra as missing:
        print(missing)
"""

    printed = python(program, without="websockets")

    assert "--stop-when-empty" in printed
    assert printed.count("pip install 'broadcaster-kit[server]'") == 3

"""The file by which a supervisor is found, and in which it tells how a restart goes."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from broadcaster.errors import BroadcastError, ConfigurationError

__all__ = ["PidFile", "Restart", "read_pid_file", "usual_pid_file"]


@dataclass(frozen=True, slots=True)
class Restart:
    """How a restart goes: its *number*, from 1, its *state*, `running`, `done` or `failed`, and in words."""

    number: int = 0
    state: str = "done"
    said: str = ""


class PidFile:
    """Holds the file at *path* for this process; raises `ConfigurationError` where it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _hold(path)

    def write(self, restart: Restart) -> None:
        """Write the process' id, and how a restart goes, which is one line each."""
        text = f"{os.getpid()}\n{json.dumps(asdict(restart))}\n".encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def read_pid_file(path: Path) -> tuple[int, Restart] | None:
    """Return the id of the process that holds the file at *path*, and how its last restart goes.

    None as long as it is starting, or just writes. Raises `BroadcastError` where no process holds the file.
    """
    import fcntl

    try:
        with path.open(encoding="utf-8") as file:
            try:
                # Not the id alone: one that was killed leaves the file, and another may have its id now.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _parse(file.read())
    except FileNotFoundError:
        pass
    except OSError as error:
        raise BroadcastError(f"cannot read {str(path)!r}: {error.strerror}") from error
    raise BroadcastError(
        f"no server with workers runs that wrote {str(path)!r}: name its --port, or --pidfile"
    )


def usual_pid_file(port: int) -> Path:
    """Return where the file of the server on *port* is, unless it is told where.

    It is in the folder that systemd made for the service, in that of the user's session, or in one of our
    own. Raises `ConfigurationError` where it cannot be ours.
    """
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or os.environ.get("XDG_RUNTIME_DIR")
    if folder is None or not Path(folder).is_dir():
        folder = _own_folder()
    return Path(folder) / f"broadcaster-{port}.pid"


def _parse(text: str) -> tuple[int, Restart] | None:
    try:
        pid, told = text.splitlines()
        return int(pid), Restart(**json.loads(told))
    except ValueError:
        return None


def _hold(path: Path) -> int:
    # Only POSIX has it, and workers.
    import fcntl

    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise ConfigurationError(f"cannot write the pid file {str(path)!r}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                # What one that was killed left there is nobody's.
                os.ftruncate(descriptor, 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise ConfigurationError(
                f"another server has the pid file {str(path)!r}: name another one with --pidfile"
            ) from None
        except FileNotFoundError:
            pass
        # Whoever had it removed it just before it was ours.
        os.close(descriptor)


def _own_folder() -> str:
    folder = Path(tempfile.gettempdir()) / f"broadcaster-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make the folder {str(folder)!r}: {error.strerror}") from error
    # Everybody may make folders there; who is named in ours gets a signal.
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"the folder {str(folder)!r} is open to others: name another file with --pidfile"
        )
    return str(folder)

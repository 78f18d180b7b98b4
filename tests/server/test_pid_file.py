import os
import tempfile
from pathlib import Path

import pytest

from broadcaster.errors import BroadcastError, ConfigurationError
from broadcaster.server.pid_file import PidFile, Restart, read_pid_file, usual_pid_file

NOBODY = "no server with workers runs that wrote"


def test_who_holds_the_file_is_found_and_what_it_does(tmp_path: Path) -> None:
    file = PidFile(path := tmp_path / "a.pid")

    assert read_pid_file(path) is None
    file.write(Restart(2, "running", "replacing worker 1 of 2"))

    assert read_pid_file(path) == (os.getpid(), Restart(2, "running", "replacing worker 1 of 2"))
    file.remove()
    with pytest.raises(BroadcastError, match=NOBODY):
        read_pid_file(path)


def test_what_a_process_left_behind_is_nobody(tmp_path: Path) -> None:
    (path := tmp_path / "a.pid").write_text(f"{os.getpid()}\n{{}}\n")

    with pytest.raises(BroadcastError, match=NOBODY):
        read_pid_file(path)
    file = PidFile(path)
    assert read_pid_file(path) is None
    file.remove()


def test_a_file_has_one_holder(tmp_path: Path) -> None:
    first = PidFile(tmp_path / "a.pid")

    with pytest.raises(ConfigurationError, match="another server has the pid file"):
        PidFile(tmp_path / "a.pid")
    first.remove()
    PidFile(tmp_path / "a.pid").remove()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot write the pid file '.*a\.pid': No such file"):
        PidFile(tmp_path / "gone" / "a.pid")


@pytest.mark.parametrize("variable", ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"])
def test_it_is_in_the_folder_of_the_service_or_of_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))

    assert usual_pid_file(6001) == tmp_path / "broadcaster-6001.pid"


def test_elsewhere_it_is_in_a_folder_that_is_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    folder = usual_pid_file(6001).parent

    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="is open to others"):
        usual_pid_file(6001)

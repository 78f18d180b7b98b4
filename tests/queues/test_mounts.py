from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.queues._mounts import network_file_system

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 22 0:27 / /srv/data rw,relatime shared:2 - nfs4 nas:/data rw,vers=4.2
32 22 0:28 / /mnt/with\040space rw - cifs //nas/share rw
33 31 8:2 / /srv/data/local rw - xfs /dev/sdb1 rw
34 22 0:30 / /home/me/far rw master:3 - fuse.sshfs me@far: rw
35 22 0:31 / /home/me/vault rw - fuse.gocryptfs me rw
36 22 0:32 / /over rw - ext4 /dev/sdc1 rw
37 36 0:33 / /over rw - 9p host rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/queue.sqlite3", None),
        ("/srv/data/queue.sqlite3", "nfs4"),
        ("/srv/data/deep/er/queue.sqlite3", "nfs4"),
        ("/srv/database/queue.sqlite3", None),
        ("/srv/data/local/queue.sqlite3", None),
        ("/mnt/with space/queue.sqlite3", "cifs"),
        ("/home/me/far/queue.sqlite3", "fuse.sshfs"),
        ("/home/me/vault/queue.sqlite3", None),
        ("/over/queue.sqlite3", "9p"),
    ],
)
def test_the_innermost_mount_says_what_a_file_lies_on(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), mounts=MOUNTS) == kind


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "there")
    mounts = f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path}/there rw - nfs b rw"

    assert network_file_system(tmp_path / "here" / "queue.sqlite3", mounts=mounts) == "nfs"


@pytest.mark.parametrize("mounts", ["", "nonsense", "1 2 3 - ext4", " - "])
def test_what_cannot_be_read_says_nothing(mounts: str) -> None:
    assert network_file_system(Path("/queue.sqlite3"), mounts=mounts) is None


def test_the_folder_of_the_tests_is_on_a_disk(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) is None

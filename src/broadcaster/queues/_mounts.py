"""On what a file lies: a disk of this machine, or somebody else's on the network."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["network_file_system"]

_MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre"),
        *("ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb2", "smb3", "smbfs", "vboxsf"),
    }
)
# Of those that are made by a program, most have their files elsewhere.
_LOCAL = frozenset(
    {
        *("fuseblk", "fuse.bindfs", "fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.mergerfs"),
    }
)


def network_file_system(path: Path, *, mounts: str | None = None) -> str | None:
    """Return the kind of file system that *path* lies on, if other machines may have it too; else None.

    None as well where this system does not tell. *mounts* is what Linux tells of its mounts.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    kind = _kind_at(path.resolve(), mounts)
    if kind in _NETWORK or (kind.startswith("fuse") and kind not in _LOCAL):
        return kind
    return None


def _kind_at(path: Path, mounts: str) -> str:
    """Return the kind of the innermost mount above *path*; of two at one place, the later hides the other."""
    found, kind = -1, ""
    for line in mounts.splitlines():
        place, _, source = line.partition(" - ")
        words = place.split(" ")
        if len(words) < 5 or not source:
            continue
        mount = Path(_unescaped(words[4]))
        if path.is_relative_to(mount) and len(mount.parts) >= found:
            found, kind = len(mount.parts), source.partition(" ")[0]
    return kind


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)

"""What the failures of a file system mean, and what to do about each."""

import errno
from pathlib import Path

from orchestrator.errors import MissingKey, StorageError

_REMEDIES = {
    errno.ENOSPC: "the disk is full. Free some space, or set `storage` to another place",
    errno.EDQUOT: "the disk quota is used up. Free some space, or set `storage` to another place",
    errno.EACCES: "permission denied. Allow this user to read and write there, or set `storage` to another place",
    errno.EPERM: "permission denied. Allow this user to read and write there, or set `storage` to another place",
    errno.EROFS: "the file system is read-only. Set `storage` to a place that can be written",
    errno.ENOTDIR: "a file is where a folder should be. Move it away, or set `storage` to another place",
    errno.EEXIST: "a file is where a folder should be. Move it away, or set `storage` to another place",
    errno.EISDIR: "a folder is where a file should be. Move it away, or set `storage` to another place",
    errno.ENAMETOOLONG: "the path is too long. Set `storage` to a shorter one",
    errno.EMFILE: "too many open files. Raise the limit (ulimit -n)",
    errno.EIO: "the disk reports an input/output error. Check the disk; `storage` may have to move to another one",
    errno.ESTALE: "the network file system lost the file. Check the mount",
    errno.EXDEV: "another file system is mounted inside the storage. A storage folder has to be on one file system",
    errno.EFBIG: "the file is too large for the file system or the process's limit (ulimit -f)",
}


def explained(action: str, path: Path, error: OSError) -> StorageError:
    """The error that says what could not be done with `path`; MissingKey where there was nothing to read."""
    if isinstance(error, FileNotFoundError) and action == "read":
        return MissingKey(f"{path}: not in the storage")
    remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return StorageError(f"{path}: cannot {action}: {remedy}")

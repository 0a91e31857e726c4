"""What a local Ray needs of this machine, checked before it starts: Ray itself would wait for workers that never come.

Tried with Ray 2.60: quotes and backslashes in a path are lost in the command that starts its workers; a path that is
not UTF-8 cannot be written into its messages; the path of a socket has at most 107 bytes. Other paths work, those with
a space because `orchestrator.cluster.connect` quotes the one path that Ray does not.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from orchestrator.errors import ClusterError

SOCKET_BYTES = 107
"""The longest path of a Unix socket, in bytes; macOS has 103."""
_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_LOST = re.compile(r"[\"'\\\x00-\x1f\x7f]")
_ALONE = "With one worker and no address, the run needs no Ray"
_TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass(frozen=True)
class LocalEnvironment:
    """What a local Ray is given by this process.

    Attributes:
        python: path of the interpreter, with which workers start.
        ray: folder of the installed package.
        working: the working folder.
        temporary: folder in which Ray keeps its sessions and sockets.
        variable: the environment variable that names it; None: it is the system's.
        shared_memory: whether there is a folder for shared memory.
        socket_bytes: the longest path of a socket.
    """

    python: str
    ray: str
    working: str
    temporary: str = "/tmp"
    variable: str | None = None
    shared_memory: bool = True
    socket_bytes: int = SOCKET_BYTES

    @classmethod
    def current(cls) -> LocalEnvironment:
        """That of this process. Does not import Ray."""
        found = importlib.util.find_spec("ray")
        variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
        linux = sys.platform.startswith("linux")
        return cls(
            python=sys.executable,
            ray=str(Path(found.origin).parent) if found and found.origin else "",
            working=str(Path.cwd()),
            temporary=os.environ[variable] if variable else "/tmp",
            variable=variable,
            shared_memory=not linux or Path("/dev/shm").is_dir(),
            socket_bytes=SOCKET_BYTES if linux else SOCKET_BYTES - 4,
        )


def check_local_environment(found: LocalEnvironment) -> None:
    """Raise ClusterError when a local Ray would not start, or would never get a worker; say what to change."""
    places = {
        found.python: ("the path of Python", "Make the virtual environment in another folder"),
        found.ray: ("the path of the installed Ray", "Make the virtual environment in another folder"),
        found.working: ("the working folder", "Work in another folder"),
        found.temporary: (_named(found), "Set RAY_TMPDIR to another folder, such as /tmp"),
    }
    for path, (what, remedy) in places.items():
        if not _is_utf8(path):
            raise _refused(f"{what}, {_shown(path)}, is not valid UTF-8", remedy)
        if path != found.working and (lost := _LOST.search(path)):
            raise _refused(f"{what}, {_shown(path)}, contains {lost[0]!a}", remedy)
    if not Path(found.temporary).is_absolute():
        raise _refused(f"{_named(found)} is no absolute path: {_shown(found.temporary)}", "Set RAY_TMPDIR to one")
    longest = found.socket_bytes - len(_SOCKET)
    length = len(os.fsencode(found.temporary))
    if length > longest:
        raise _refused(
            f"{_named(found)} has a path of {length} bytes, and Ray's sockets need one of at most {longest}: "
            f"{_shown(found.temporary)}",
            "Set RAY_TMPDIR to a shorter folder, such as /tmp",
        )
    if not found.shared_memory:
        raise _refused("there is no /dev/shm, which Ray needs for shared memory", "Mount a tmpfs there")


def token_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with a token for a local Ray, where Ray could not keep one in the home folder; else empty.

    A local Ray admits only those who have its token, which it keeps in `~/.ray/auth_token`. It sets RAY_AUTH_MODE, too.
    """
    if any(environment.get(name) for name in _TOKEN):
        return {}
    try:
        folder = Path.home() / ".ray"
        kept = (folder / "auth_token").is_file()
        folder.mkdir(exist_ok=True)
        if kept or os.access(folder, os.W_OK):
            return {}
    except (OSError, RuntimeError, ValueError):
        pass  # read-only, not there, or no home folder at all
    return {"RAY_AUTH_TOKEN": _token()}


@lru_cache(maxsize=1)
def _token() -> str:
    """One for the life of this process: Ray reads it once."""
    return secrets.token_hex(32)


def _named(found: LocalEnvironment) -> str:
    return f"the folder for temporary files ({found.variable or 'the default'})"


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: str) -> str:
    """For a message: what no terminal should get is escaped, and a long path is shortened."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
    return text if len(text) <= 120 else f"{text[:120]}..."


def _refused(what: str, remedy: str) -> ClusterError:
    return ClusterError(f"Ray cannot start on this machine: {what}.\n{remedy}. {_ALONE}")

"""What only a folder can do wrong.

Covers: `orchestrator/storage/folder_errors.py` `orchestrator/storage/folder_listing.py`
Covers: `orchestrator/storage/internal_folder.py`
"""

import fcntl
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage import folder_store
from orchestrator.storage.folder_store import INTERNAL, FolderStore

HOUR = 3600.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_file_in_the_way(root: Path) -> None:
    root.write_text("no folder")
    with pytest.raises(StorageError, match="a file is where a folder should be") as caught:
        FolderStore(root).check()
    assert str(root) in str(caught.value)


def test_a_folder_in_the_way(root: Path) -> None:
    store = FolderStore(root)
    store.put("a/b", b"")
    with pytest.raises(StorageError, match="a folder is where a file should be"):
        store.get("a")
    with pytest.raises(StorageError, match="a folder is where a file should be"):
        store.put("a", b"")
    assert list(store.list()) == ["a/b"]


@pytest.mark.parametrize("link", ["key", "a/key"])
def test_links_that_lead_outside_are_refused(root: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_bytes(b"secret")
    root.mkdir()
    if link == "key":
        (root / "key").symlink_to(outside / "key")
    else:
        (root / "a").symlink_to(outside)
    store = FolderStore(root)
    calls: list[Callable[[], Any]] = [
        lambda: store.get(link),
        lambda: store.put(link, b"overwritten"),
        lambda: store.put_if_absent(link, b"overwritten"),
        lambda: store.delete(link),
        lambda: store.delete_folder(link),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="leads out of the storage"):
            call()
    assert (outside / "key").read_bytes() == b"secret"


def test_a_loop_of_links_ends(root: Path) -> None:
    store = FolderStore(root)
    store.put("a/b", b"")
    (root / "a" / "loop").symlink_to(root / "a")
    assert [key for key in store.list() if key.endswith("b")] == ["a/b"]


def test_file_systems_without_hard_links(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = FolderStore(root)
    store.check()
    assert store.put_if_absent("key", b"1") and not store.put_if_absent("key", b"2")
    assert store.get("key") == b"1"


def test_file_systems_without_locks_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="does not hold locks"):
        FolderStore(root).check()


def test_a_held_lock_is_not_waited_for_for_ever(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_store, "LOCK_TIMEOUT_S", 0.2)
    store = FolderStore(root)
    store.put("key", b"1")
    with (root / INTERNAL / "lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process has held"):
            store.put("key", b"2")
        # Requests that need no lock continue.
        assert store.put_if_absent("other", b"3") and store.get("key") == b"1"
    store.put("key", b"2")


def test_what_a_crash_left_is_swept(root: Path) -> None:
    store = FolderStore(root)
    store.put("key", b"")
    old, young, held = (root / INTERNAL / f"{name}.tmp" for name in ("old", "young", "held"))
    for path in (old, young, held):
        path.write_bytes(b"half")
    for path in (old, held):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        store.check()
    assert not old.exists() and young.exists() and held.exists()


def test_no_temporary_files_stay(root: Path) -> None:
    store = FolderStore(root)
    store.put("key", b"1")
    store.put_if_absent("key", b"2")
    store.compare_and_swap("key", b"3", "stale")
    assert [path.name for path in (root / INTERNAL).iterdir()] == ["lock"]


def _as_nobody(root: Path, queue: Any) -> None:
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        FolderStore(root).put("key", b"changed")
    except StorageError as error:
        queue.put(str(error))
    else:
        queue.put("written")


def test_no_permission(tmp_path: Path, root: Path) -> None:
    for path in [tmp_path, *tmp_path.parents]:
        if path.stat().st_uid == os.getuid() and "pytest" in path.name:
            path.chmod(0o755)
    FolderStore(root).put("key", b"kept")
    for path in (root, root / INTERNAL):
        path.chmod(0o555)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_as_nobody, args=(root, queue))
    process.start()
    message = queue.get(timeout=60)
    process.join()
    for path in (root, root / INTERNAL):
        path.chmod(0o755)
    assert f"{root}/key: cannot write: permission denied" in message and "storage" in message
    assert FolderStore(root).get("key") == b"kept"


FULL_DISK = """
import sys
from pathlib import Path
from orchestrator.errors import StorageError
from orchestrator.storage.folder_store import FolderStore
store = FolderStore(Path(sys.argv[1]) / "store")
store.check()
assert store.put_if_absent("kept", b"x" * 50_000)
for write in (store.put, store.put_if_absent):
    try:
        write("big", b"x" * 10_000_000)
    except StorageError as error:
        print(error)
assert list(store.list()) == ["kept"] and store.get("kept") == b"x" * 50_000
store.put("kept", b"y" * 50_000)
assert store.get("kept") == b"y" * 50_000
"""


def test_a_full_disk(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare to mount a small disk")
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mounting a small disk")
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh", *script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert f"{tmp_path}/store/big: cannot write: the disk is full. Free some space" in line


def _beyond_the_limit(root: Path, queue: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        FolderStore(root).put("key", b"x" * 5000)
    except StorageError as error:
        queue.put(str(error))


def test_a_file_that_cannot_be_finished_never_appears(root: Path) -> None:
    FolderStore(root).put("key", b"before")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_beyond_the_limit, args=(root, queue))
    process.start()
    assert "too large" in queue.get(timeout=60)
    process.join()
    assert FolderStore(root).get("key") == b"before"


def test_an_internal_folder_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    """Nothing outside is made, changed or removed through it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = outside / f"{'a' * 32}.tmp"
    precious.write_bytes(b"precious")
    os.utime(precious, (0, 0))
    store = FolderStore(root)
    store.put("a/key", b"data")
    shutil.rmtree(root / INTERNAL)
    (root / INTERNAL).symlink_to(outside)
    for act in (
        store.check,
        lambda: store.purge("a/"),
        lambda: store.put("b", b""),
        lambda: store.put_if_absent("c", b""),
        lambda: store.delete("a/key"),
    ):
        with pytest.raises(StorageError, match="symbolic link"):
            act()
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [(precious.name, b"precious")]
    assert store.get("a/key") == b"data"


def test_what_others_put_there_is_not_ours(root: Path, tmp_path: Path) -> None:
    store = FolderStore(root)
    store.put("p/key", b"data")
    folder = os.fsencode(root / "p")
    for name in (b"Icon\r", b"two\nlines", b"not utf-8 \xff\xfe", b"\x1b[31mred", b"back\\slash"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"")
    Path(os.fsdecode(folder + b"/folder\r")).mkdir()
    (root / "p" / "folder\r" / "below").write_bytes(b"")
    (root / "p" / "out").symlink_to(tmp_path)
    (root / "p" / "dangling").symlink_to(root / "nowhere")
    os.mkfifo(root / "p" / "pipe")
    assert list(store.list()) == [entry.key for entry in store.entries("p/")] == ["p/key"]
    assert list(store.folders()) == ["p"]
    assert sorted(store.foreign("p/")) == [
        r"p/Icon\r",
        r"p/\x1b[31mred",
        r"p/back\slash",
        "p/dangling",
        r"p/folder\r",
        r"p/not utf-8 \xff\xfe",
        "p/out",
        "p/pipe",
        r"p/two\nlines",
    ]


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_clock_that_was_set_does_not_hold_up_a_purge(
    root: Path, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary files of a killed writer are removed, those of a running one are kept."""
    monkeypatch.setattr(folder_store, "SETTLED_AFTER_S", 0.3)
    store = FolderStore(root)
    store.put("key", b"")
    left, held = root / INTERNAL / f"{'a' * 32}.tmp", root / INTERNAL / f"{'b' * 32}.tmp"
    left.write_bytes(b"")
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        store.purge("")
        assert [path.name for path in (root / INTERNAL).glob("*.tmp")] == [held.name]

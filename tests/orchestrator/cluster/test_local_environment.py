"""Where a local Ray can start. In a path with a space it does: `tests/e2e/test_local_ray.py`."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster.connect import cluster
from orchestrator.cluster.local_environment import LocalEnvironment, check_local_environment, token_settings
from orchestrator.errors import ClusterError
from pipelines.config.sections.scaling_section import ScalingSpec

GOOD = LocalEnvironment(python="/home/a/.venv/bin/python", ray="/home/a/.venv/lib/ray", working="/home/a")
LATIN_1 = os.fsdecode(b"/home/\xe9")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"python": "/my folder/.venv/bin/python", "ray": "/my folder/.venv/lib/ray", "working": "/my folder"},
        {"python": "/a?b/%41/#/$HOME;&x/bin/python", "temporary": "/a b?%41#"},
        {"python": "/é日/bin/python"},
        {"working": '/what\'s "this"\\'},  # it is in no command
        {"temporary": "/" + "t" * 38, "variable": "TMPDIR"},
    ],
    ids=str,
)
def test_where_ray_works(changes: dict[str, str]) -> None:
    check_local_environment(replace(GOOD, **changes))


@pytest.mark.parametrize(
    ("changes", "named", "remedy"),
    [
        ({"python": "/it's/bin/python"}, "path of Python, /it's/bin/python, contains \"'\"", "virtual environment"),
        ({"ray": 'a"b'}, "path of the installed Ray", "virtual environment"),
        ({"python": "/a\nb"}, "path of Python, /a\\nb, contains", "virtual environment"),
        ({"temporary": "/a\\b", "variable": "TMPDIR"}, "temporary files (TMPDIR)", "Set RAY_TMPDIR"),
        ({"temporary": "tmp", "variable": "RAY_TMPDIR"}, "(RAY_TMPDIR) is no absolute path: tmp", "Set RAY_TMPDIR"),
        ({"python": LATIN_1}, "path of Python, /home/\\udce9, is not valid UTF-8", "virtual environment"),
        ({"working": LATIN_1}, "working folder, /home/\\udce9, is not valid UTF-8", "Work in another folder"),
        ({"temporary": LATIN_1, "variable": "TMPDIR"}, "(TMPDIR), /home/\\udce9, is not valid", "Set RAY_TMPDIR"),
        (
            {"temporary": "/" + "t" * 107, "variable": "TMPDIR"},
            "(TMPDIR) has a path of 108 bytes, and Ray's sockets need one of at most 39",
            "Set RAY_TMPDIR to a shorter folder",
        ),
        ({"temporary": "/" + "é" * 20, "variable": "TMPDIR"}, "a path of 41 bytes", "Set RAY_TMPDIR"),
        ({"shared_memory": False}, "/dev/shm", "Mount a tmpfs"),
    ],
    ids=str,
)
def test_where_it_is_refused(changes: dict[str, str | bool], named: str, remedy: str) -> None:
    with pytest.raises(ClusterError) as raised:
        check_local_environment(replace(GOOD, **changes))  # type: ignore[arg-type]
    text = str(raised.value)
    assert named in text and remedy in text and "one worker" in text
    assert len(text.splitlines()) == 2


def test_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    found = LocalEnvironment.current()
    assert (found.python, found.temporary, found.variable) == (sys.executable, "/var/tmp", "TMPDIR")
    assert Path(found.ray, "__init__.py").is_file()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert LocalEnvironment.current().variable == "RAY_TMPDIR"


def test_a_long_folder_for_temporary_files_is_refused_before_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp/" + "t" * 107)
    monkeypatch.setattr("orchestrator.cluster.connect._connected", lambda *_, **__: pytest.fail("Ray was started"))
    with pytest.raises(ClusterError, match="TMPDIR"), cluster(None, ScalingSpec(workers=2)):
        pass


def test_a_token_is_kept_in_the_environment_where_the_home_folder_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_settings({}) == {}  # Ray makes one there
    monkeypatch.setenv("HOME", str(tmp_path / "a" / "folder" / "that is not there"))
    made = token_settings({})
    assert made == token_settings({})
    assert list(made) == ["RAY_AUTH_TOKEN"] and len(made["RAY_AUTH_TOKEN"]) == 64
    assert token_settings({"RAY_AUTH_TOKEN": "x" * 40}) == {}
    assert token_settings({"RAY_AUTH_MODE": "disabled"}) == {}

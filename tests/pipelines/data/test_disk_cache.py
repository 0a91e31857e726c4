from pathlib import Path

import pytest

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.disk_cache import DEFAULT_GB, disk_cache_folder, disk_cache_limit

VARIABLE = "EVERLEARN_SOME_CACHE_GB"


@pytest.mark.parametrize(
    ("said", "bytes_"), [("", DEFAULT_GB * 1e9), ("0", 0.0), ("-3", 0.0), ("0.5", 5e8), ("inf", float("inf"))]
)
def test_the_limit_is_in_gigabytes(said: str, bytes_: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, said)
    assert disk_cache_limit(VARIABLE) == bytes_


@pytest.mark.parametrize("said", ["much", "nan"])
def test_a_limit_that_is_no_number_is_named(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(PipelineError, match=f"{VARIABLE}: must be a number of gigabytes, got '{said}'"):
        disk_cache_limit(VARIABLE)


def test_each_cache_has_a_folder_below_that_of_all_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk_cache_folder("blocks") == tmp_path / "everlearn" / "blocks"

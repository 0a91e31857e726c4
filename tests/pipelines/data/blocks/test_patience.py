"""A server that does not answer is asked again; data that is wrong is not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.patience import WAITS, passes, patiently
from pipelines.data.datasets.location import Location, states


def failing(times: int, cause: Exception) -> Callable[[], str]:
    """Fails so many times, then reads."""
    left = iter(range(times))

    def read() -> str:
        if next(left, None) is not None:
            raise DataError("s3://data/x.parquet: cannot be read") from cause
        return "rows"

    return read


AWAY = OSError("When reading: AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 7")


def test_a_server_may_be_away_for_two_minutes() -> None:
    slept: list[float] = []
    assert patiently(failing(len(WAITS), AWAY), slept.append) == "rows"
    assert 110 <= sum(slept) <= 130
    with pytest.raises(DataError, match="cannot be read"):
        patiently(failing(len(WAITS) + 1, AWAY), lambda _: None)


def test_what_the_data_is_does_not_pass() -> None:
    slept: list[float] = []
    for cause in (FileNotFoundError("no such key"), ValueError("not parquet"), OSError("Unexpected end of stream")):
        with pytest.raises(DataError):
            patiently(failing(1, cause), slept.append)
    assert slept == []


def test_pyarrow_says_so_when_a_server_is_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(DataError) as caught:
        states([Location("s3://data/x.parquet")])
    assert passes(caught.value), str(caught.value.__cause__)
    with pytest.raises(DataError) as missing, Location.of(str(tmp_path / "x.parquet")).open():
        pass
    assert not passes(missing.value)

"""What a person is told of the cache of what was read in S3; `test_blocks_in_s3` uses it."""

from __future__ import annotations

import pytest

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.blocks.block_cache import LIMIT, cache_limit, cache_text


def test_the_limit_is_a_number_of_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, bytes_ in {"0": 0, "2.5": 2.5e9, "-1": 0, "": 10e9}.items():
        monkeypatch.setenv(LIMIT, said)
        assert cache_limit() == bytes_
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(PipelineError, match=f"{LIMIT}: must be a number of gigabytes, got 'much'"):
        cache_limit()


def test_a_person_is_told_where_it_is_and_how_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "2.5")
    assert "blocks of each node, up to 2.5 GB" in cache_text()
    monkeypatch.setenv(LIMIT, "0")
    assert "is not kept" in cache_text()

"""Which samples are for testing: by a hash of ids a sample stays on its side, whatever else is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.datasets import held_out_part
from pipelines.data.datasets.held_out_part import HeldOut, hash_of_ids
from pipelines.data.samples import TensorSamples
from pipelines.data.streams import Stream, build_stream

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40, unique=True)


@given(IDS, IDS, st.floats(0.05, 0.95))
@settings(max_examples=40)
def test_other_samples_change_nothing(ids: list[int], more: list[int], share: float) -> None:
    def held_out(all_: list[int]) -> set[int]:
        samples = TensorSamples(torch.zeros(len(all_), 1), torch.zeros(len(all_)), torch.tensor(all_))
        kept, test = HeldOut(0.5, share).split(samples)
        assert sorted([*kept, *test]) == list(range(len(all_)))
        return {all_[row] for row in test}

    together = list(dict.fromkeys([*more, *ids]))
    assert held_out(ids) == held_out(together) & set(ids)


def test_a_share_of_ids_in_a_row_is_held_out() -> None:
    for start in (0, 10**12):
        found = hash_of_ids(np.arange(start, start + 20_000))
        assert found.min() >= 0 and found.max() < 1
        for share in (0.1, 0.2, 0.5):
            assert abs((found < share).mean() - share) < 0.01
    # The first outputs of SplitMix64 for the seeds 0 and 1.
    outputs = (0xE220A8397B1DCDAF, 0x910A2DEC89025CC1)
    assert hash_of_ids(np.array([0, 1])).tolist() == [(output >> 11) / 2**53 for output in outputs]


def stream(path: Path, extra: str = "", kind: str = "csv", further: str = "") -> Stream:
    text = (
        f"name: t\nmodel: mlp\nstream:\n  setting: domain-incremental\n  {further}\n"
        f"  dataset: {{name: {kind}, path: {path}, label: y, id: key, test: {{id_hash: 0.3}}{extra}}}\n"
    )
    return build_stream(load_text(text).stream, 0)


def sides(found: Stream) -> tuple[set[int], set[int]]:
    train = {id_ for experience in found for id_ in experience.train.ids.tolist()}
    return train, {id_ for experience in found for id_ in experience.test.ids.tolist()}


def test_a_sample_keeps_its_side_when_its_file_grows(tmp_path: Path) -> None:
    rows = pd.DataFrame({"key": np.arange(100) * 7, "x": np.arange(100.0), "site": np.arange(100) % 2})
    rows["y"] = np.where(rows["key"] % 3, "low", "high")
    (tmp_path / "many").mkdir()
    found: list[Any] = []
    for part in (rows[:60], rows[::-1]):
        part.to_csv(tmp_path / "one.csv", index=False)
        part.to_csv(tmp_path / "many" / "0.csv", index=False)
        forms = [stream(tmp_path / "many"), stream(tmp_path / "many", ", features: auto")]
        forms.append(stream(tmp_path / "one.csv", further="order: [[low], [high]]"))
        forms.append(stream(tmp_path / "one.csv", ", by: site"))
        assert all(sides(form) == sides(forms[0]) for form in forms)
        found.append(sides(forms[0]))
    (train, test), (later, later_test) = found
    assert train <= later and test <= later_test and 15 < len(later_test) < 45


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"dataset\.test\.id_hash: must be below 1"):
        load_text("name: t\nmodel: mlp\nstream: {dataset: {name: csv, path: x, test: {id_hash: 2}}}")
    np.savez(tmp_path / "0.npz", x=np.ones((9, 2)), y=np.zeros(9, dtype=int), key=np.arange(9))
    with pytest.raises(DataError, match=r"stream\.lanes: .*leave out dataset\.test\.id_hash"):
        stream(tmp_path, kind="npz", further="lanes: 2")


def test_the_rule_in_words() -> None:
    for options, words in (
        ({"test": "t.csv"}, "the rows of t.csv"),
        ({"test": {"id_hash": "20%"}}, "20% by a hash of the ids"),
        ({"test": {"column": "split", "value": "test"}}, "rows whose split is test"),
        ({"test": {"time": "at", "last": "last 5%"}, "by": "site"}, "the last 5% of each value of site by at"),
        ({"test_fraction": 0.1}, "10% of each class"),
    ):
        assert held_out_part.test_rule(options).startswith(words)

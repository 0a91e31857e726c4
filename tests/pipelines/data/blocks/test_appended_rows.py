"""A file that grows: experiences that got no rows are known by what they were known before, and only these."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets import csv_files, jsonl_files
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.text_blocks import TextBlocks

OPTIONS: dict[str, Any] = {
    "test": None, "test_fraction": 0.3, "inputs": "x", "label": "label", "id": None, "by": "site", "time": None,
    "classes": 3, "shape": None, "channels": "first",
}  # fmt: skip
Row = tuple[str, int, int]
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2), st.integers(10, 99)), min_size=1, max_size=12)


class Index:
    data: bytes | None = None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data


def text(kind: str, rows: list[Row]) -> str:
    if kind == "jsonl":
        return "".join(json.dumps({"site": site, "label": label, "x": x}) + "\n" for site, label, x in rows)
    return "site,label,x\n" + "".join(f"{site},{label},{x}\n" for site, label, x in rows)


def known(kind: str, file: Path, index: Index, size: int = 90) -> dict[str, tuple[list[str], list[Any]]]:
    """By site: the fingerprints of the training and the test set, and all that they hold."""
    module: Any = {"csv": csv_files, "jsonl": jsonl_files}[kind]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TextBlocks", partial(TextBlocks, block_bytes=size))
        found = module.blocks(index, str(file), **OPTIONS)
    assert isinstance(found, ExperienceDataset)
    made: dict[str, tuple[list[str], list[Any]]] = {}
    for place in range(len(found)):
        prints: list[str] = []
        held: list[Any] = []
        for samples in (found.train(place), found.test(place)):
            assert isinstance(samples, BlockSamples)
            prints.append(samples.fingerprint(None))
            parts = samples.take_with_ids(torch.arange(len(samples)))
            held.append([samples.block_sizes.tolist(), *(part.tolist() for part in parts)])
        made[str(found.group(place))] = prints, held
    return made


@settings(max_examples=8)
@given(st.sampled_from(["csv", "jsonl"]), ROWS, st.lists(ROWS, min_size=1, max_size=3), st.booleans(), st.data())
def test_experiences_without_new_rows_keep_their_fingerprints_and_no_other_does(
    kind: str, first: list[Row], later: list[list[Row]], broken: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, index, rows = Path(folder) / f"a.{kind}", Index(), list(first)
        file.write_text(text(kind, rows))
        size = data.draw(st.sampled_from([90, 400, 4000]))
        before = known(kind, file, index, size)
        for more in later:
            if broken:
                # A row of the past has another value, of the same length.
                at = data.draw(st.integers(0, len(rows) - 1))
                rows[at] = (*rows[at][:2], data.draw(st.integers(10, 99)))
            rows += more
            # Half of the writers end a file without a line break.
            file.write_text(text(kind, rows).removesuffix(data.draw(st.sampled_from(["", "\n"]))))
            now = known(kind, file, index, size)
            for site, (prints, held) in before.items():
                if prints == now[site][0]:
                    assert now[site][1] == held
                elif not broken:
                    assert site in {one[0] for one in more}
            before = now


def test_a_row_that_grows_is_another_row(tmp_path: Path) -> None:
    file, index = tmp_path / "a.csv", Index()
    file.write_text("site,label,x\na,0,11\na,1,12\nb,0,13")
    before = known("csv", file, index)
    file.write_text("site,label,x\na,0,11\na,1,12\nb,0,134\nc,0,15\n")
    now = known("csv", file, index)
    assert now["b"][0] != before["b"][0]


def test_what_was_carried_is_kept_in_the_index_and_lost_with_it(tmp_path: Path) -> None:
    file, index = tmp_path / "a.csv", Index()
    file.write_text("site,label,x\na,0,11\na,1,12\nb,0,13\nb,1,13\n")
    before = known("csv", file, index)
    for more, left in (("c,1,14\nc,0,15\n", "ab"), ("b,2,16\n", "ac"), ("d,0,17\n", "abc")):
        with file.open("a") as end:
            end.write(more)
        now = known("csv", file, index)
        assert {site for site in before if now[site][0] == before[site][0]} == {*left}
        assert known("csv", file, index) == now and b'"carried"' in (index.data or b"")
        before = now
    indexed_again = known("csv", file, Index())
    assert indexed_again["a"][0] != before["a"][0] and indexed_again["a"][1] == before["a"][1]

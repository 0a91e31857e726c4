"""Documents in lanes: a block has the sequences that its documents make alone.

Covers: `pipelines/data/datasets/document_reader.py`
"""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets import documents
from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.document_blocks import DocumentBlocks
from pipelines.data.datasets.document_reader import DocumentReader
from pipelines.data.datasets.documents import blocks, load
from pipelines.data.datasets.location import Location
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.methods.replay import Replay
from strategies.objectives.next_token import NextToken
from tests.pipelines.models.pretrained import save_tiny_llama
from tests.strategies.models import build

TEXTS = ["a good day", "the film was dull", "bad day", "the day was good", "not very good a a a", "very dull"]
GIVEN: dict[str, Any] = {
    "max_length": 4, "text": "text", "prompt": None, "pack": None, "separate": "line", "end": None, "test": None,
    "test_fraction": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_llama(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("texts")
    (made / "0.txt").write_text("\n".join(TEXTS) + "\n")
    (made / "1.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in reversed(TEXTS)))
    return made


@pytest.mark.parametrize("separate", ["file", "paragraph", "line"])
def test_one_block_has_the_sequences_that_memory_has(separate: Any, base: str, folder: Path) -> None:
    options = {**GIVEN, "tokenizer": base, "separate": separate, "test": str(folder)}
    found, whole = blocks(None, str(folder), **options), load(str(folder), **options)
    assert isinstance(found, ExperienceDataset) and len(found) == len(whole) == 2
    assert (found.classes, found.input_shape) == (whole.classes, whole.input_shape)
    for index in range(2):
        ours, theirs = found.train(index), whole.train(index)
        assert isinstance(ours, BlockSamples) and len(ours) == len(theirs)
        for mine, held in zip(ours.take(torch.arange(len(ours))), theirs.take(torch.arange(len(theirs))), strict=True):
            assert mine.dtype == held.dtype == torch.int32 and torch.equal(mine, held)


@pytest.mark.parametrize("separate", ["file", "line"])
def test_no_token_is_lost_between_blocks(separate: Any, base: str, folder: Path) -> None:
    made = DocumentReader(base, 4, "text", None, True, separate, None)
    alone, small = DocumentBlocks(made), DocumentBlocks(made, block_bytes=30)
    place = Location.of(str(folder / "0.txt"))
    survey = small.survey(place)
    assert len(survey.rows) > 2 and len(alone.survey(place).rows) == 1

    def learned(reader: DocumentBlocks) -> int:
        table, _ = reader.read(place)
        assert ((table.inputs >= 0) == (table.labels >= 0)).all()
        return int((table.labels >= 0).sum())

    # Only the first token of each block is predicted by no position.
    assert learned(small) == learned(alone) + 1 - len(survey.rows)
    assert len(set(small.hashes(place, range(len(survey.rows))))) == len(survey.rows)


def test_a_language_model_learns_in_lanes_at_any_number_of_readers(
    base: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "DocumentBlocks", partial(DocumentBlocks, block_bytes=30))
    found = blocks(None, str(folder), **{**GIVEN, "tokenizer": base})
    assert isinstance(found, ExperienceDataset)
    samples = pickle.loads(pickle.dumps(found.train(0)))
    assert len(samples.block_sizes) > 2
    assert {*samples.ids.tolist()}.isdisjoint(found.test(0).ids.tolist())
    learner = Learner(build("language", found.classes), [Replay()], outputs=found.classes, objective=NextToken())

    class Step:
        index, task, classes, outputs, train, test = 0, 0, (), None, samples, found.test(0)

    learner.learn(Step(), TrainSettings(epochs=1, batch_size=3, lanes=2, window=1))  # type: ignore[arg-type]
    assert len(learner.memories()["replay"]) == len(samples)
    assert learner.evaluate([Step()])[0].total == len(found.test(0))  # type: ignore[list-item]
    settings = TrainSettings(epochs=1, batch_size=3, lanes=2, window=1)
    from strategies.loop.order_of_samples import sample_order

    order = sample_order(samples, settings, 0, 0)
    alone = [inputs for inputs, _ in samples.lane_batches(order, Group())]
    shares = [[inputs for inputs, _ in samples.lane_batches(order, Group(rank, 2))] for rank in range(2)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert torch.equal(torch.cat(parts), whole)


def test_packed_files_and_other_bytes_are_refused(base: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(b"")
    with pytest.raises(DataError, match="unpack it, or leave out"):
        blocks(None, str(tmp_path), **{**GIVEN, "tokenizer": base})
    (tmp_path / "a.txt.gz").unlink()
    (tmp_path / "b.txt").write_bytes(b"a day\xff\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        blocks(None, str(tmp_path), **{**GIVEN, "tokenizer": base})

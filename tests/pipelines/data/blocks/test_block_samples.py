"""Samples over blocks are the samples that the whole file has, read in any way.

Covers: `pipelines/data/blocks/block_source.py` `pipelines/data/blocks/row_selection.py`
Covers: `pipelines/data/blocks/blockwise.py` `pipelines/data/blocks/lane_reader.py`
Covers: `pipelines/data/blocks/block_rows.py`
"""

from __future__ import annotations

import os
import pickle
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks import block_samples, block_source
from pipelines.data.blocks.block_rows import Rows
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.blocks.read_ahead import THREADS
from pipelines.data.blocks.row_selection import held_out, held_out_counts
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.parquet import blocks, load
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from tests.pipelines.data.blocks.block_files import rows, write

GROUPS = (7, 1, 30, 12, 4, 16, 9, 9)
N = sum(GROUPS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "a.parquet", *rows(N, 0), GROUPS, ids=[f"id {n}" for n in range(N)])


def dataset(path: Path, **options: object) -> Dataset:
    given = {"test": None, "test_fraction": 0.2, "inputs": "x", "label": "label", "id": None, "classes": None}
    found = blocks(None, str(path), **{**given, "shape": None, "channels": "first", **options})  # type: ignore[arg-type]
    assert isinstance(found, Dataset)
    return found


def samples_of(path: Path, **options: object) -> BlockSamples:
    train = dataset(path, **options).train
    assert isinstance(train, BlockSamples)
    return train


@pytest.mark.parametrize("id", [None, "who"])
def test_training_and_test_rows_are_those_of_the_file(id: str | None, path: Path) -> None:  # noqa: A002
    found = dataset(path, id=id)
    whole = load(str(path), test=str(path), inputs="x", id=id)
    assert isinstance(whole, Dataset) and (found.classes, found.input_shape) == (3, whole.input_shape)
    inputs, targets = whole.train.take(torch.arange(N))
    place = {int(id_): row for row, id_ in enumerate(whole.train.ids)}
    seen: list[int] = []
    for part in (found.train, found.test):
        assert isinstance(part, BlockSamples)
        everything = torch.arange(len(part))
        own_inputs, own_targets, own_ids = part.take_with_ids(everything)
        at = [place[int(one)] for one in own_ids]
        seen += at
        assert torch.equal(own_inputs, inputs[at]) and torch.equal(own_targets, targets[at])
        assert torch.equal(part.ids, own_ids) and torch.equal(part.targets, own_targets)
        assert torch.equal(part.target_counts(4), torch.bincount(own_targets, minlength=4))
        assert part.block_sizes.sum() == len(part)
    assert sorted(seen) == list(range(N))
    assert 10 <= len(found.test) <= 26


@pytest.mark.parametrize("size", [1, 3 * 24, 8 * 24])
def test_the_size_of_pieces_and_of_copies_changes_no_row(
    size: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = samples_of(path, id="who")
    blocks = range(len(expected.block_sizes))
    whole = [expected.rows(block) for block in blocks]
    monkeypatch.setattr(block_source, "PIECE_BYTES", size)
    monkeypatch.setattr(block_samples, "COPIED_BYTES", size // 2)
    samples = samples_of(path, id="who")
    assert max(len(list(samples.pieces(block))) for block in blocks) > 1
    for block in blocks:
        for own, other in zip(samples.rows(block), whole[block], strict=True):
            assert np.array_equal(own, other)


@given(st.lists(st.lists(st.integers(0, N * 3 // 4 - 1), max_size=9), max_size=6), st.booleans())
def test_batches_of_any_positions_are_what_take_gives(path: Path, lists: list[list[int]], ascending: bool) -> None:
    samples = samples_of(path)
    wanted = [torch.tensor(sorted(one) if ascending else one, dtype=torch.int64) for one in lists]
    wanted = [one[one < len(samples)] for one in wanted]
    everything = samples.take(torch.arange(len(samples)))
    for index, found in zip(wanted, samples.batches(iter(wanted)), strict=True):
        for part, whole in zip(found, everything, strict=True):
            assert torch.equal(part, whole[index])


def test_a_batch_from_many_blocks_holds_few_of_them(tmp_path: Path) -> None:
    """The samples that estimate a Fisher information lie anywhere."""
    path = write(tmp_path / "many.parquet", *rows(80, 0), [1] * 80)
    samples = dataset(path, test=str(path)).train
    assert isinstance(samples, BlockSamples)
    alive: list[int] = []
    most = 0
    read = samples.rows

    def noted(block: int) -> Rows:
        nonlocal most
        found = read(block)
        alive.append(block)
        weakref.finalize(found.inputs, alive.remove, block)
        most = max(most, len(alive))
        return found

    samples.rows = noted  # type: ignore[method-assign]
    everything = torch.arange(80)
    inputs, _ = next(samples.batches([everything]))
    assert torch.equal(inputs, samples.take(everything)[0])
    assert 1 < most <= THREADS + 4


def test_classes_are_chosen_by_rows(path: Path) -> None:
    found = dataset(path, test_fraction=0.3)
    units = np.array([-1, 5, 0])
    for part in (found.train, found.test):
        assert isinstance(part, BlockSamples)
        some = part.of_classes(units, id_base=1000)
        kept = part.targets > 0
        assert torch.equal(some.targets, torch.from_numpy(units)[part.targets[kept]])
        assert torch.equal(some.ids, part.ids[kept] + 1000)
        assert torch.equal(some.take(torch.arange(len(some)))[0], part.take(kept.nonzero().flatten())[0])
        assert some.target_counts(6).tolist() == torch.bincount(some.targets, minlength=6).tolist()


def test_a_transform_acts_on_blocks(path: Path) -> None:
    samples = samples_of(path)
    doubled = samples.transformed(lambda inputs: inputs * 2).transformed(lambda inputs: inputs + 1)
    index = torch.tensor([40, 3, 3, 17])
    assert torch.equal(doubled.take(index)[0], samples.take(index)[0] * 2 + 1)
    with pytest.raises(DataError, match=r"stream\.lanes: this divides the data sample by sample"):
        samples.subset(index)


@pytest.mark.parametrize("rule", ["keep", "drop"])
@pytest.mark.parametrize(("size", "window", "start"), [(5, 1, 0), (16, 2, 3), (60, 3, 1)])
@pytest.mark.parametrize("readers", [1, 2, 3])
def test_readers_give_the_batches_of_the_order(
    readers: int, size: int, window: int, start: int, rule: str, path: Path
) -> None:
    samples = pickle.loads(pickle.dumps(samples_of(path)))
    settings = TrainSettings(epochs=3, batch_size=size, lanes=3, window=window, last_batch=rule)
    order = sample_order(samples, settings, 1, 0)
    whole = samples.take_with_ids(torch.arange(len(samples)))
    reading = [
        samples.lane_batches(sample_order(samples, settings, 1, 0), Group(r, readers), start) for r in range(readers)
    ]
    taken = [iter(reader) for reader in reading]
    for step in range(start, len(order)):
        parts = [(*next(one), reader.ids) for one, reader in zip(taken, reading, strict=True)]
        for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
            assert torch.equal(torch.cat(found), expected[order.batch(step)])
    assert all(next(one, None) is None for one in taken)
    assert sum(reader.blocks_read for reader in reading) <= 3 * len(samples.block_sizes)
    if start == 0:
        assert sum(reader.blocks_read for reader in reading) == 3 * len(samples.block_sizes)


def test_steps_go_on_through_the_epochs(path: Path) -> None:
    samples = samples_of(path)
    settings = TrainSettings(epochs=None, steps=12, batch_size=31, lanes=2, window=2)
    order = sample_order(samples, settings, 1, 0)
    whole, _ = samples.take(torch.arange(len(samples)))
    for step, (inputs, _) in enumerate(samples.lane_batches(order, Group())):
        assert torch.equal(inputs, whole[order.batch(step)])


def test_the_fingerprint_is_that_of_the_blocks(path: Path, tmp_path: Path) -> None:
    first = samples_of(path)
    one = first.fingerprint(None)
    copy = tmp_path / "b.parquet"
    copy.write_bytes(path.read_bytes())
    assert samples_of(copy).fingerprint(None) == one
    others = {
        dataset(path).test.fingerprint(None),  # type: ignore[attr-defined]
        first.fingerprint({"degrees": 3}),
        first.of_classes(np.array([0, 1, -1])).fingerprint(None),
        samples_of(path, test_fraction=0.3).fingerprint(None),
        samples_of(path, id="who").fingerprint(None),
        samples_of(path, shape=[2, 3]).fingerprint(None),
        samples_of(write(tmp_path / "c.parquet", *rows(N, 1), GROUPS)).fingerprint(None),
    }
    assert len(others) == 7 and one not in others
    # Workers are told: they have no index.
    assert pickle.loads(pickle.dumps(first)).fingerprint(None) == one


def test_a_file_that_changes_is_refused_and_one_that_was_copied_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", *rows(N, 0), GROUPS)
    samples = samples_of(path)
    index = torch.tensor([20, 60])
    before = samples.take(index)[0]
    samples.fingerprint(None)
    os.utime(path, (1, 1))
    assert torch.equal(samples.take(index)[0], before)
    write(path, *rows(N, 5), GROUPS)
    with pytest.raises(DataError, match=r"a\.parquet, block \d: the file has changed since this run looked at it"):
        samples.take(index)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"it has 100 bytes, and had [\d,]+"):
        samples.take(index)
    path.unlink()
    with pytest.raises(DataError, match="there is no such file"):
        next(iter(samples.lane_batches(sample_order(samples, TrainSettings(lanes=2), 0, 0), Group())))  # type: ignore[arg-type]


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    inputs, labels = rows(N, 0)
    inputs[40, 2] = np.nan
    samples = samples_of(write(tmp_path / "a.parquet", inputs, labels, GROUPS))
    with pytest.raises(DataError, match=r"a\.parquet, block 3: the input in row 2 has values that are NaN or infinite"):
        samples.take(torch.arange(len(samples)))


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=1, max_size=20), st.floats(0.05, 0.95))
def test_rows_are_held_out_in_proportion(counts: list[list[int]], fraction: float) -> None:
    matrix = np.array(counts, dtype=np.uint32)
    out = held_out_counts(matrix, fraction)
    assert (abs(out - matrix * fraction) < 1).all() and (out <= matrix).all()
    labels = np.repeat(np.arange(3), matrix[0])
    chosen = held_out(labels, out[0], 0)
    assert np.array_equal(np.bincount(labels[chosen], minlength=3), out[0])
    assert np.array_equal(chosen, held_out(labels, out[0], 0))


def test_a_folder_of_folders_has_experiences_of_many_files(tmp_path: Path) -> None:
    for week in ("week1", "week2", "week10"):
        for day in range(3):
            write(tmp_path / week / f"{day}.parquet", *rows(20, day + len(week)), (12, 8))
    options = {"test": None, "test_fraction": 0.2, "inputs": "x", "label": "label", "id": None, "classes": None}
    found = blocks(None, str(tmp_path), **options, shape=None, channels="first")  # type: ignore[arg-type]
    assert isinstance(found, ExperienceDataset)
    assert [Path(str(found.source(n))).name for n in range(3)] == ["week1", "week2", "week10"]
    assert [len(found.train(n)) + len(found.test(n)) for n in range(3)] == [60, 60, 60]
    assert found.train(1).ids.min() >= 1 << 40

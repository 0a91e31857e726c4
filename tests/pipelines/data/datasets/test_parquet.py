"""Parquet files, local and in S3.

Covers: `pipelines/data/datasets/arrow_columns.py`
Covers: `pipelines/data/datasets/missing_name.py` `pipelines/data/datasets/parquet_reader.py`
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from moto.server import ThreadedMotoServer
from pyarrow import fs, parquet

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet import blocks, load
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings

A = np.arange(12, dtype=np.uint8)
LABELS = np.arange(12) % 3


def _write(path: Path, **columns: Any) -> str:
    parquet.write_table(pa.table(columns), path)
    return str(path)


def _single(*args: Any, **options: Any) -> Dataset:
    found = load(*args, **options)
    assert isinstance(found, Dataset)
    return found


def _first(found: Dataset) -> torch.Tensor:
    row = int((found.train.ids == found.train.ids.min()).nonzero()[0])
    return found.train.take(torch.tensor([row]))[0][0]


def test_columns_of_numbers_keep_their_dtype(tmp_path: Path) -> None:
    found = _single(_write(tmp_path / "d.parquet", a=A, label=LABELS, b=A + 100))
    assert (found.classes, found.input_shape, len(found.train) + len(found.test)) == (3, (2,), 12)
    inputs, targets = found.train.take(torch.arange(len(found.train)))
    assert inputs.dtype == torch.uint8
    assert torch.equal(inputs[:, 0].long(), found.train.ids)
    assert torch.equal(inputs[:, 1].long(), found.train.ids + 100)
    assert torch.equal(targets, found.train.ids % 3)


def test_chosen_columns_ids_and_words(tmp_path: Path) -> None:
    words = pa.array([["x", "y", "z"][i] for i in LABELS]).dictionary_encode()
    path = _write(tmp_path / "d.parquet", a=A, noise=A, kind=words, who=A.astype(np.int64) * 5, f=A / 2)
    found = _single(path, inputs=["f", "a"], label="kind", id="who", classes=["z", "y", "x"])
    assert found.input_shape == (2,)
    assert torch.equal(found.train.targets, 2 - (found.train.ids // 5) % 3)
    assert _first(found).dtype == torch.float64
    text = _write(tmp_path / "e.parquet", a=A, label=LABELS, who=[f"person {i}" for i in A])
    assert len(_single(text, id="who").train.ids.unique()) == 9
    assert _single(text, inputs="a", id="who").input_shape == (1,)


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 4), pa.list_(pa.list_(pa.uint8()))],
)
def test_one_column_of_lists(kind: pa.DataType, tmp_path: Path) -> None:
    nested = pa.types.is_list(kind.value_type)
    rows = [[[i, 1], [2, 3]] if nested else [i, 1, 2, 3] for i in range(12)]
    path = _write(tmp_path / "d.parquet", pixels=pa.array(rows, type=kind), label=LABELS)
    found = _single(path)
    assert found.input_shape == ((2, 2) if nested else (4,))
    inputs, _ = found.train.take(torch.arange(len(found.train)))
    assert torch.equal(inputs.flatten(1)[:, 0].long(), found.train.ids)
    assert inputs.flatten(1)[:, 1:].unique().tolist() == [1, 2, 3]
    assert _single(path, shape=[1, 2, 2]).input_shape == (1, 2, 2)


def test_the_same_content_as_an_npz_file_has_the_same_fingerprint(tmp_path: Path) -> None:
    from tests.pipelines.data.made_streams import stream

    path = _write(tmp_path / "d.parquet", a=A, b=A, label=LABELS)
    np.savez(tmp_path / "d.npz", x=np.stack([A, A], axis=1), y=LABELS)
    one, other = (stream(Path(p).suffix[1:], experiences=3, path=p) for p in (path, str(tmp_path / "d.npz")))
    assert one.fingerprint(1) == other.fingerprint(1)


def test_the_index_that_pandas_stores_is_no_input(tmp_path: Path) -> None:
    path = _write(tmp_path / "d.parquet", a=A, label=LABELS, __index_level_0__=A.astype(np.int64) * 7)
    assert _single(path).input_shape == (1,)
    assert _single(path, inputs=["a", "__index_level_0__"]).input_shape == (2,)
    assert int(_single(path, id="__index_level_0__").train.ids.max()) > 12


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"a": A}, {}, "d.parquet: has no column 'label'; it has a: Name the column in dataset.label"),
        ({"a": A, "Target": LABELS}, {}, "did you mean 'Target'. Name the column in dataset.label"),
        ({"a": A, "kind": LABELS}, {"label": "kinds"}, "no column 'kinds'; it has a, kind: did you mean 'kind'"),
        ({"a": A, "label": LABELS, "key": A}, {"id": "keys"}, "did you mean 'key'. Name the column in dataset.id"),
        ({"label": LABELS}, {}, "d.parquet: has no columns for the inputs"),
        ({"a": A, "label": LABELS}, {"inputs": "b"}, "d.parquet: has no column 'b'; it has a, label"),
        ({"a": A, "label": LABELS}, {"classes": 2}, "d.parquet: label 2 in row 2 does not fit"),
        ({"a": A, "label": [0] * 11 + [None]}, {}, r"d.parquet: column 'label' has no value in row 11 \(1 such rows\)"),
        ({"a": [None, *A[1:]], "label": LABELS}, {}, "d.parquet: column 'a' has no value in row 0"),
        ({"a": [[1]] * 11 + [[1, 2]], "label": LABELS}, {}, "d.parquet: the lists in column 'a' differ in length"),
        ({"a": [[1]] * 11 + [[None]], "label": LABELS}, {}, "d.parquet: column 'a' has no value in row 11"),
        ({"a": ["w"] * 12, "label": LABELS}, {}, "d.parquet: column 'a' is not numbers but string"),
        (
            {"a": [[1]] * 12, "b": A, "label": LABELS},
            {},
            "d.parquet: column 'a' holds lists: it must be the only input",
        ),
        ({"a": [np.nan] * 12, "label": LABELS}, {}, "d.parquet: the input in row 0 has values that are NaN"),
    ],
)
def test_files_that_do_not_fit_are_named(
    columns: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load(_write(tmp_path / "d.parquet", **columns), **options)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    whole = Path(_write(path, a=A, label=LABELS)).read_bytes()
    for content in (b"", b"nonsense" * 10, whole[:-20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"d.parquet: not a readable parquet file"):
            load(str(path))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, fs.S3FileSystem]]:
    """An S3 server with one bucket, found by the AWS environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    system = fs.S3FileSystem(
        endpoint_override=f"{host}:{port}", scheme="http", access_key="key", secret_key="secret",
        region="us-east-1", allow_bucket_creation=True,
    )  # fmt: skip
    system.create_dir("data")
    yield "s3://data", system
    server.stop()


def test_files_and_folders_in_s3(bucket: tuple[str, fs.S3FileSystem], tmp_path: Path) -> None:
    address, system = bucket
    for name in ("two", "one"):
        local = _write(tmp_path / f"{name}.parquet", a=A, label=LABELS)
        with system.open_output_stream(f"data/folder/{name}.parquet") as target:
            target.write(Path(local).read_bytes())
    assert len(_single(f"{address}/folder/one.parquet").train) == 9
    found = load(f"{address}/folder/")
    assert isinstance(found, ExperienceDataset)
    assert len(found) == 2
    stored = pickle.dumps(found)
    assert b"secret" not in stored
    assert len(pickle.loads(stored).train(1)) == 9
    with pytest.raises(DataError, match=r"s3://data/nowhere: there is no such file or folder"):
        load(f"{address}/nowhere")
    with pytest.raises(DataError, match=r"s3://no-bucket/x.parquet"):
        load("s3://no-bucket/x.parquet")


def test_row_groups_are_read_from_s3(bucket: tuple[str, fs.S3FileSystem], tmp_path: Path) -> None:
    address, system = bucket
    local = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"a": A, "label": LABELS}), local, row_group_size=5)
    with system.open_output_stream("data/rows.parquet") as target:
        target.write(local.read_bytes())
    options = {"test": None, "test_fraction": 0.2, "inputs": None, "label": "label", "id": None, "classes": None}
    options |= {"shape": None, "channels": "first"}
    one, other = (blocks(None, str(p), **options) for p in (local, f"{address}/rows.parquet"))  # type: ignore[arg-type]
    assert isinstance(one, Dataset) and isinstance(other, Dataset)
    assert isinstance(one.train, BlockSamples) and isinstance(other.train, BlockSamples)
    settings = TrainSettings(batch_size=4, lanes=2)
    taken = [
        [inputs.tolist() for inputs, _ in samples.lane_batches(sample_order(samples, settings, 0, 0), Group())]  # type: ignore[arg-type]
        for samples in (one.train, other.train)
    ]
    assert taken[0] == taken[1] and sum(map(len, taken[0])) == len(one.train)
    assert one.train.fingerprint(None) == other.train.fingerprint(None)
    system.delete_file("data/rows.parquet")
    with pytest.raises(DataError, match=r"s3://data/rows\.parquet: there is no such file"):
        other.train.take(torch.arange(len(other.train)))


def test_s3_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENDPOINT_URL_S3", "http://127.0.0.1:9"), ("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(DataError, match=r"s3://data/x.parquet: cannot be read: ") as caught:
        Location("s3://data/x.parquet").is_folder()
    assert len(str(caught.value)) < 600

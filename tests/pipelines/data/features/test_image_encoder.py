"""Columns of images as pixels: in every format the same numbers, and errors that name file, row and column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow
from pyarrow import parquet

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.features.column_layout import ImageColumns
from pipelines.data.features.feature_columns import FeatureColumn, FeatureOptions
from pipelines.data.features.image_encoder import Image
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.streams import Stream, build_stream
from tests.pipelines.data.images.conftest import cache  # noqa: F401 (a fixture)
from tests.pipelines.data.images.drawn_images import draw

COLUMNS = [FeatureColumn("price", "numeric"), FeatureColumn("photo", "image")]


def noise(folder: Path, count: int = 3, grey: bool = False) -> list[str]:
    """Paths of 8x8 images of noise."""
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (8, 8) if grey else (8, 8, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{number}.png")
    return [f"{number}.png" for number in range(count)]


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_pixels_are_standardised_by_channel(tmp_path: Path, channels: Any) -> None:
    depth = 3 if channels == "rgb" else 1
    paths: list[str | None] = [*noise(tmp_path, grey=depth == 1), None]
    table = pa.table({"price": [1.0, 3.0, 1.0, 3.0], "photo": paths})
    options = FeatureOptions(size=8, channels=channels)
    made = Preprocessing.fit(COLUMNS, table, np.array([0, 1, 3]), options, str(tmp_path / "t.csv"))
    layout = made.layout
    size = depth * 64
    assert layout.images == (ImageColumns(2, depth, 8, 8),) and layout.numbers == (0, 1, 2 + size)
    assert len(layout.names) == len(set(layout.names)) == 3 + size and made.images == ("photo",)
    found = made.transform(table, str(tmp_path / "t.csv"))
    assert found.dtype == np.float32 and found.shape == (4, 3 + size)
    raw = np.stack([np.asarray(Pillow.open(tmp_path / str(path))).reshape(64, depth).T for path in paths[:3]]) / 255
    known = raw[:2].transpose(1, 0, 2).reshape(depth, -1)
    expected = (raw - known.mean(1)[:, None]) / known.std(1)[:, None]
    np.testing.assert_allclose(found[:3, 2:-1], expected.reshape(3, -1), atol=1e-5)
    assert not found[3, 2:-1].any() and found[:, -1].tolist() == [0, 0, 0, 1]
    again = Preprocessing.read(json.loads(json.dumps(made.document())))
    assert again == made and again.digest == made.digest
    later = again.transform(table, str(tmp_path / "t.csv"), keep=True)
    assert np.array_equal(later, found)


def test_images_of_one_colour_or_none_at_all_have_a_scale(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", (255, 0, 51), (9, 5))
    for paths, mean in ((["a.png"], (1.0, 0.0, 0.2)), ([None], (0.0, 0.0, 0.0))):
        table = pa.table({"photo": pa.array(paths, pa.string())})
        options = FeatureOptions(size=[2, 4])
        made = Preprocessing.fit(COLUMNS[1:], table, np.arange(1), options, f"{tmp_path}/t.csv")
        (encoder,) = made.encoders
        assert isinstance(encoder, Image) and encoder.mean == mean and encoder.scale == (1, 1, 1)
        assert encoder.shape == (3, 2, 4) and not made.transform(table, f"{tmp_path}/t.csv")[:, :-1].any()


def stream(folder: Path, kind: str) -> Stream:
    pipeline = load_text(
        "name: t\nmodel: tabular-mlp\nstream:\n  setting: domain-incremental\n"
        f"  dataset: {{name: {kind}, path: {folder}, label: kind, features: {{image: [photo], size: 8}}}}\n"
    )
    return build_stream(pipeline.stream, 0)


def test_the_format_does_not_matter(tmp_path: Path) -> None:
    """Paths in CSV, JSON Lines and parquet; bytes and structs in parquet."""
    found = []
    for form in ("csv", "jsonl", "parquet", "bytes", "struct"):
        folder = tmp_path / form
        folder.mkdir()
        paths = [*noise(folder, 9), None]
        data = [None if path is None else (folder / path).read_bytes() for path in paths]
        kept: list[Any] = paths
        if form in ("bytes", "struct"):
            kept = data if form == "bytes" else [{"bytes": one, "path": "no.png" if one else None} for one in data]
        rows = {"price": list(range(10)), "photo": kept, "kind": ["a", "b"] * 5}
        if form == "csv":
            lines = zip(rows["price"], [path or "" for path in paths], rows["kind"], strict=True)
            (folder / "0.csv").write_text("price,photo,kind\n" + "".join(f"{a},{b},{c}\n" for a, b, c in lines))
        elif form == "jsonl":
            lines_ = ({name: values[row] for name, values in rows.items()} for row in range(10))
            (folder / "0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines_))
        else:
            parquet.write_table(pa.table(rows), folder / "0.parquet")
        found.append(stream(folder, form if form in ("csv", "jsonl") else "parquet"))
    first = found[0]
    assert first.input_shape == (2 + 3 * 64 + 1,) and first.preprocessing is not None
    for other in found[1:]:
        assert other.preprocessing == first.preprocessing and other.fingerprint(0) == first.fingerprint(0)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("no.png", r"0\.csv: column 'photo', row 2: no\.png: there is no such file"),
        ("broken.png", r"0\.csv: column 'photo', row 2: broken\.png: the image is broken"),
        ("text.png", r"0\.csv: column 'photo', row 2: text\.png: is no PNG or JPEG image"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, cell: str, words: str) -> None:
    paths = noise(tmp_path, 4)
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:90])
    cells = [*paths[:2], cell, *paths[2:]]
    lines = (f"{photo},{'ab'[row % 2]}\n" for row, photo in enumerate(cells))
    (tmp_path / "0.csv").write_text("photo,kind\n" + "".join(lines))
    with pytest.raises(DataError, match=words):
        stream(tmp_path, "csv")[0]


def test_a_column_of_bytes_has_to_be_named(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    parquet.write_table(pa.table({"photo": [data] * 4, "kind": ["a", "b"] * 2}), tmp_path / "0.parquet")
    pipeline = load_text(
        "name: t\nmodel: tabular-mlp\nstream:\n  setting: domain-incremental\n"
        f"  dataset: {{name: parquet, path: {tmp_path}, label: kind, features: auto}}\n"
    )
    with pytest.raises(
        DataError, match=r"column 'photo' is of the type binary, which says no kind: .*, image or ignore"
    ):
        build_stream(pipeline.stream, 0)[0]


@pytest.mark.parametrize("size", ["257", "0", "[8]", "[8, 300]"])
def test_images_of_a_table_are_small(size: str) -> None:
    with pytest.raises(PipelineError, match=r"stream\.dataset\.features"):
        load_text(
            "name: t\nmodel: tabular-mlp\nstream:\n  setting: domain-incremental\n"
            f"  dataset: {{name: csv, path: x, features: {{image: [photo], size: {size}}}}}\n"
        )

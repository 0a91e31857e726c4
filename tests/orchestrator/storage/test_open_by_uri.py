"""Opening a store by its URI, and a kind of store of one's own."""

from pathlib import Path

import pytest
import torch

from orchestrator.errors import StorageError
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.check_store import fsck
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.ray_filesystem import ray_filesystem
from orchestrator.storage.s3_store import S3Store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group


def test_open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("some/folder").uri == str(tmp_path / "some" / "folder")
    assert open_store(f"file://{tmp_path}/a%20b").uri == str(tmp_path / "a b")
    assert isinstance(open_store("~/x"), FolderStore) and "~" not in open_store("~/x").uri
    assert not (tmp_path / "some").exists()
    bucket = open_store("s3://bucket/a/prefix/")
    assert isinstance(bucket, S3Store) and bucket.uri == "s3://bucket/a/prefix"
    assert open_store("s3://bucket").uri == "s3://bucket"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        " ",
        "gs://bucket/x",
        "http://host/x",
        "s3://",
        "s3:///x",
        "s3://b/../c",
        "s3://b/x?y=z",
        "s3://Buck et/x",
        "s3://b//c",
        "file://host/x",
        "s3://bucket/" + "x" * 500,
        "folder\0",
    ],
)
def test_uris_that_name_no_store(uri: str) -> None:
    with pytest.raises(StorageError):
        open_store(uri)


def test_credentials_in_the_uri_are_refused_and_not_shown() -> None:
    with pytest.raises(StorageError, match="credentials do not belong") as caught:
        open_store("s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket/prefix")
    assert "wJalrXUtnFEMI" not in str(caught.value) and "AKIA" not in str(caught.value)


@pytest.mark.usefixtures("memory_stores")
def test_a_registered_store_keeps_a_lineage(tmp_path: Path) -> None:
    pipeline = load_text(
        "name: kept\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\n"
        "model: {name: mlp, hidden: [8]}\n"
        f"strategy: replay\ntrain: {{steps: 3, batch_size: 16}}\nstorage: memory://{tmp_path}/kept\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    store = open_store(pipeline.storage)
    store.check()
    lineage = Lineage(store, pipeline.name)
    RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=lineage,
        group=Group(),
        device=torch.device("cpu"),
        on_event=lambda event: None,
    ).run()
    report = fsck(Lineage(open_store(pipeline.storage), pipeline.name))
    assert len(report.usable) == 2 and not report.damage
    filesystem, place = ray_filesystem(pipeline.storage)
    assert filesystem is None and Path(place).is_absolute()


@pytest.mark.usefixtures("memory_stores")
def test_an_unknown_scheme_names_those_that_are_known() -> None:
    with pytest.raises(StorageError, match=r"gs://bucket.*memory://"):
        open_store("gs://bucket/x")


def test_a_registered_store_that_cannot_be_loaded_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "broken-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[everlearn.stores]\nlost = not_there:open_store\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StorageError, match=r"not_there:open_store.*No module named 'not_there'"):
        open_store("lost://x")

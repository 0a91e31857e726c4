"""Folders with a pretrained model are identified by what they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.pretrained_folder import content_hash, pretrained_folder


def make(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_the_hash_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    first = make(tmp_path / "a")
    before = content_hash(first, "k")
    assert content_hash(Path(shutil.copytree(first, tmp_path / "b")), "k") == before
    (first / "README.md").write_text("not a part of the model")
    assert content_hash(first, "k") == before
    assert content_hash(make(tmp_path / "c", b"Weights"), "k") != before
    (first / "model.safetensors").write_bytes(b"other weights")
    assert content_hash(first, "k") != before


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    (folder / "config.json").unlink()
    with pytest.raises(PipelineError, match=r"k: .*must have config\.json"):
        content_hash(folder, "k")


def test_a_name_that_is_no_folder_and_no_hub_id_is_refused(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "./none", "none"):
        with pytest.raises(PipelineError, match="k: no folder"):
            pretrained_folder(name, "k")

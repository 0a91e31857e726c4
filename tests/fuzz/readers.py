"""Everything in Everlearn that reads what somebody else may have written, and how each says no."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.checkpointing.checkpoint import Checkpoint
from orchestrator.errors import CorruptBlob, StorageError
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.decisions import Decision
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.object_keys import checked_key
from orchestrator.storage.tensors import decode, decode_metadata
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.datasets import idx_format, npz
from pipelines.data.datasets.location import Location

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        read: takes bytes.
        refusal: the only error that it may raise.
    """

    read: Callable[[bytes], Any]
    refusal: type[Exception]


def _blob(data: bytes) -> None:
    decode(data)
    decode_metadata(data)


def _ref(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "p" / "refs").mkdir(parents=True)
        (Path(folder) / "p" / "refs" / "latest.json").write_bytes(data)
        Lineage(FolderStore(Path(folder)), "p").ref("latest")


def _npz(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        path.write_bytes(data)
        npz.NpzReader("x", "y", None).read(Location.of(os.fspath(path)))


def _idx(data: bytes) -> None:
    # What a file of MNIST may unpack to.
    idx_format.parse(idx_format.decompress(data, 16 + 10_000 * 784, "images"), "images")


def _pipeline(data: bytes) -> None:
    load_text(io.TextIOWrapper(io.BytesIO(data), "utf-8", errors="replace").read(), "pipeline.yaml")


READERS = {
    "commit": Reader(Commit.parse, StorageError),
    "blob": Reader(_blob, CorruptBlob),
    "checkpoint": Reader(Checkpoint.from_bytes, CorruptBlob),
    "ref": Reader(_ref, StorageError),
    "claim": Reader(lambda data: Holder.parse(data, "claim"), StorageError),
    "decision": Reader(lambda data: Decision.parse(data, "decision"), StorageError),
    "key": Reader(lambda data: checked_key(data.decode("utf-8", "surrogateescape")), StorageError),
    "npz": Reader(_npz, PipelineError),
    "idx": Reader(_idx, PipelineError),
    "pipeline": Reader(_pipeline, PipelineError),
}

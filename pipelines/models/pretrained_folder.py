"""Folders with a pretrained model: found by path or model hub id, and identified by their content."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from pipelines.config.pipeline_errors import PipelineError

EXTRA = "install everlearn[llm]"
WEIGHTS = "*.safetensors"
_FILES = ("config.json", WEIGHTS, "*.safetensors.index.json", "tokenizer.json")
_CHUNK = 1 << 22


def pretrained_folder(name: str, key: str) -> Path:
    """The folder of a pretrained model.

    Args:
        name: a folder, or an id of the Hugging Face hub such as `org/model`, which is downloaded once.
        key: where it is named in the pipeline file, for the error.

    Raises:
        PipelineError: there is no such folder, or the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if "://" in name:
        raise PipelineError(f"{key}: {name!r} must be a folder or a hub id: copy the files to a folder first")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise PipelineError(f"{key}: no folder {name!r}")
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise PipelineError(f"{key}: no folder {name!r}; to take it as a hub id, {EXTRA}") from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except Exception as error:  # of several libraries: no network, no such id, offline mode
        reason = str(error).strip().partition("\n")[0][:200]
        raise PipelineError(
            f"{key}: no folder {name!r}, and the model hub did not give it: {reason}. "
            "Download it where the hub is reachable, and name the folder"
        ) from error


def content_hash(folder: Path, key: str) -> str:
    """SHA-256 over the names and contents of a model's configuration and weights.

    Raises:
        PipelineError: it has none.
    """
    files = sorted({*folder.glob("config.json"), *folder.glob(WEIGHTS)})
    if not any(file.suffix == ".safetensors" for file in files) or files[0].name != "config.json":
        raise PipelineError(
            f"{key}: {folder} must have config.json and weights in .safetensors: save the model with save_pretrained()"
        )
    whole = hashlib.sha256()
    for file in files:
        status = file.stat()
        digest = _file_hash(os.fspath(file.resolve()), status.st_size, status.st_mtime_ns)
        whole.update(f"{file.name}\n{digest}\n".encode())
    return whole.hexdigest()


@lru_cache(maxsize=64)
def _file_hash(path: str, size: int, changed: int) -> str:
    """The hash of a file; size and time of change are asked for, so that a file that is unchanged is read once."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()

"""Removing samples from the test sets and the frozen holdout that an admission log keeps in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import CorruptBlob
from orchestrator.lineage import layout
from orchestrator.lineage.commit import BlobRecord
from orchestrator.storage.tensors import encode
from orchestrator.updates.admission_log import AdmissionLog

if TYPE_CHECKING:
    from orchestrator.lineage.forgotten_ids import Tombstones
    from orchestrator.lineage.lineage import Lineage


def forget_test_samples(lineage: Lineage, tombstones: Tombstones) -> tuple[set[int], set[str], list[str]]:
    """Rewrite every test set that holds samples to be forgotten without them, and record it in the log.

    What a test set is called in commits stays: it is the test set that was admitted, from which samples were removed.

    Args:
        lineage: under the claim.

    Returns:
        The ids that were found; the blobs that the log needs now, by SHA-256; keys of damaged blobs, which may still
        hold samples.

    Raises:
        ClaimLost, StorageError: running again does the rest.
    """
    import torch

    log = AdmissionLog(lineage)
    state = log.read()
    hit: set[int] = set()
    replaced: dict[str, BlobRecord] = {}
    unreadable: list[str] = []
    for sha256 in state.blobs():
        try:
            tensors = lineage.tensors(sha256)
        except CorruptBlob:
            unreadable.append(layout.blob_key(lineage.pipeline, sha256))
            continue
        found = tombstones.among(tensors["ids"].tolist())
        if not found:
            continue
        keep = ~torch.isin(tensors["ids"], torch.tensor(found))
        data = encode({name: tensor[keep] for name, tensor in tensors.items()})
        replaced[sha256] = BlobRecord(sha256=lineage.put_blob(data), bytes=len(data))
        hit.update(found)
    if replaced:
        log.append(replaced=replaced)
        for sha256 in replaced:
            lineage.delete(layout.blob_key(lineage.pipeline, sha256))
    return hit, set(log.state.blobs()), unreadable

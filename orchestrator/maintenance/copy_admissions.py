"""Copying a pipeline's admission log: its test sets first, then its records in their order, then the index."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.errors import CorruptCommit, MissingKey
from orchestrator.lineage import layout
from orchestrator.updates.admission_log import index_bytes, whole_log

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage


def admitted_blobs(source: Lineage) -> list[str]:
    """The SHA-256 of the test sets that the log needs, sorted."""
    return sorted(whole_log(source)[0].blobs())


def copy_admissions(source: Lineage, target: Lineage, lost: set[str], problem: Callable[[str], object]) -> int:
    """Copy the records that the destination lacks.

    Args:
        lost: test sets that could not be copied.
        problem: called with what could not be copied, and why.

    Returns:
        How many records were written.
    """
    state, damage = whole_log(source)
    for key, text in damage:
        problem(f"{key}: {text}")
    if state.blobs().keys() & lost:
        problem("the admission log was not copied: a test set that it needs is damaged")
        return 0
    written = 0
    for number in range(state.records):
        key = layout.admission_key(source.pipeline, number)
        data = source.store.get(key)
        try:
            theirs: bytes | None = target.store.get(layout.admission_key(target.pipeline, number))
        except MissingKey:
            theirs = None
        if theirs == data:
            continue
        if theirs is not None and _whole(theirs, number):
            problem(f"the admission log was not copied from record {number} on: at the destination it is another")
            return written
        target.put(layout.admission_key(target.pipeline, number), data)
        written += 1
    if written:
        target.put(layout.admission_index_key(target.pipeline), index_bytes(state))
    return written


def _whole(data: bytes, number: int) -> bool:
    from orchestrator.updates.admission_record import AdmissionRecord

    try:
        AdmissionRecord.parse(data, number, "record")
    except CorruptCommit:
        return False
    return True

"""Repairing a damaged store, as far as that is safe.

Damaged objects that a run makes again are removed: checkpoints, records of trials, blobs whose content is wrong, and
commits that are damaged or need such blobs. The record of a removed commit is kept in `<pipeline>/runs/set-aside/`
until `gc` removes it. Refs are set to the newest usable commit of their history. Whole objects are never removed. A
removed commit comes back, with the same id, when the pipeline is run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import CorruptCommit, MissingKey
from orchestrator.lineage import layout
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.past_outline import remove_outlines

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.lineage.claim import OnWarning
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.maintenance.store_report import Report


def repair(lineage: Lineage, check: Callable[[Lineage], Report], *, on_warning: OnWarning | None = None) -> list[str]:
    """Repair what `check` finds, where that is safe; returns a sentence for each repair.

    Args:
        check: `orchestrator.maintenance.check_store.fsck`.
        on_warning: called with warnings.

    Raises:
        Claimed: a run, a search or another care command is working on the pipeline.
        StorageError: the storage cannot be used; running again does the rest.
    """
    done: list[str] = []
    with claimed(lineage, "gc", on_warning=on_warning) as claim:
        held = lineage.fenced(claim.fence)
        report = check(held)
        refs = {name: newest for name, (commit, newest) in report.refs.items() if commit != newest}
        blobs = layout.blobs_prefix(lineage.pipeline)
        lost = {id_ for damage in report.damage for id_ in damage.commits}
        # Children first, so that whatever ends this early leaves only whole chains.
        for id_ in sorted(lost, key=lambda id_: (-_index(held, id_), id_)):
            _set_aside(held, id_, done)
        for damage in report.damage:
            # Not repaired: samples to be forgotten (`forget` removes them); damaged tombstones (their salt is lost).
            if damage.key.startswith(blobs) and not held.holds(damage.key.removeprefix(blobs)):
                _remove(held, damage.key, "its content was damaged", done)
            elif damage.key == layout.admission_index_key(lineage.pipeline):
                _remove(held, damage.key, "the next step writes it again from the records", done)
            elif damage.key == layout.decision_index_key(lineage.pipeline):
                _remove(held, damage.key, "the next decision writes it again from the records", done)
            elif damage.key.startswith(layout.outlines_prefix(lineage.pipeline)):
                _remove(held, damage.key, "the next step writes it again from the commits", done)
            elif damage.key.startswith(layout.runs_prefix(lineage.pipeline)):
                _remove(held, damage.key, damage.problem, done)
            elif damage.key.startswith(layout.refs_prefix(lineage.pipeline)) and damage.problem == "damaged":
                _remove(held, damage.key, "the next run writes this ref again", done)
        for name, newest in refs.items():
            _point(held, name, newest, done)
    return done


def _index(lineage: Lineage, id_: str) -> int:
    try:
        return lineage.read(id_).experience.index
    except (MissingKey, CorruptCommit):
        return -1


def _set_aside(lineage: Lineage, id_: str, done: list[str]) -> None:
    key = layout.commit_key(lineage.pipeline, id_)
    try:
        data = lineage.store.get(key)
    except MissingKey:
        return
    aside = f"{layout.runs_prefix(lineage.pipeline)}set-aside/{id_}.json"
    lineage.put(aside, data)
    remove_outlines(lineage)
    lineage.delete(key)
    done.append(f"commit {id_[:12]} was taken out, to be trained again by the next run; its record is kept: {aside}")


def _remove(lineage: Lineage, key: str, why: str, done: list[str]) -> None:
    if lineage.store.exists(key):
        lineage.delete(key)
        done.append(f"{key} was removed: {why}")


def _point(lineage: Lineage, name: str, newest: str | None, done: list[str]) -> None:
    if newest is None:
        _remove(lineage, layout.ref_key(lineage.pipeline, name), "no commit of its history is usable", done)
    else:
        lineage.point(name, newest)
        done.append(f"ref {name} was set to commit {newest[:12]}, the newest usable one of its history")

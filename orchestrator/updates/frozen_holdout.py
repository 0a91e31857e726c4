"""The frozen holdout of a stream: a bounded sample of all its test samples, on which the gate compares models.

It holds the samples whose ids have the smallest hashes (bottom-k, Cohen & Kaplan 2007), at most so many. So it is a
uniform sample of what was ever held out, it does not depend on the order or the number of steps, a sample that is in it
leaves only for one with a smaller hash, and no model is trained on it. It lies in the store, and its record is one of
the admission log. Where one id was held out twice, the newest sample counts.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.commit import BlobRecord
from orchestrator.storage.tensors import encode
from orchestrator.updates.admission_entries import AdmittedExperience, HoldoutRecord
from pipelines.data.samples import StoredSamples, TensorSamples
from pipelines.data.stream_experience import StreamExperience
from pipelines.data.streams import Stream
from strategies.memory import bottom_k, sample_keys

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.admission_log import AdmissionLog
    from orchestrator.updates.admission_record import State

SERIALS = "serials"
"""The tensor that says of which experience of the log a sample is."""


def is_current(state: State, samples: int) -> bool:
    """Whether the log's holdout is that of all its experiences, with this size."""
    held = state.holdout
    return held is not None and (held.samples, held.covers) == (samples, covers(state.experiences))


def covers(experiences: Sequence[AdmittedExperience]) -> str:
    """What stands for experiences in the record of a holdout."""
    return hashlib.sha256(canonical_json([[one.serial, one.test.sha256] for one in experiences])).hexdigest()


def update_holdout(lineage: Lineage, log: AdmissionLog, samples: int) -> None:
    """Bring the holdout up to date with the log, and record it; for the holder of the claim of a run.

    Only the test sets of new experiences are read, unless experiences were taken out of the log or replaced, or the
    holdout becomes larger.

    Raises:
        ClaimLost, StorageError: as `AdmissionLog.append`; a test set that is damaged is a CorruptBlob.
    """
    state = log.state
    if is_current(state, samples) or not state.experiences:
        return
    held = state.holdout
    begun = held is not None and samples <= held.samples
    done = held.experiences if held is not None and begun else 0
    parts: list[Mapping[str, Tensor]] = []
    if held is not None and begun and held.covers == covers(state.experiences[:done]):
        blob = state.holdout_blob()
        assert blob is not None
        parts.append(lineage.tensors(blob.sha256))
    else:
        done = 0
    for one in state.experiences[done:]:
        tensors = lineage.tensors(state.test_blob(one).sha256)
        parts.append({**tensors, SERIALS: torch.full_like(tensors["ids"], one.serial)})
    data = encode(smallest(parts, samples))
    log.append(
        holdout=HoldoutRecord(
            samples=samples,
            experiences=len(state.experiences),
            covers=covers(state.experiences),
            blob=BlobRecord(sha256=lineage.put_blob(data), bytes=len(data)),
        )
    )


def smallest(parts: Iterable[Mapping[str, Tensor]], samples: int) -> dict[str, Tensor]:
    """Of all rows, those whose ids have the smallest hashes, in their order; of rows with one id the last.

    Args:
        parts: tensors of n rows each, by name, with `ids`, (n,) int64.
    """
    rows: dict[str, Tensor] | None = None
    for part in parts:
        rows = dict(part) if rows is None else {name: torch.cat([kept, part[name]]) for name, kept in rows.items()}
        last = {id_: place for place, id_ in enumerate(rows["ids"].tolist())}
        places = torch.tensor(sorted(last.values()), dtype=torch.int64)
        # The pipeline's seed has no part in it: runs with other seeds are judged on the same samples.
        chosen = places[torch.from_numpy(bottom_k(sample_keys(rows["ids"][places], 0), samples))]
        rows = {name: tensor[chosen] for name, tensor in rows.items()}
    return rows or {}


@dataclass(frozen=True, eq=False)
class HoldoutPart:
    """The samples of the holdout that are of one experience. A `pipelines.data.experience_samples.Part`."""

    experience: StreamExperience
    held: StoredSamples
    transform: None = None

    @property
    def classes(self) -> tuple[int, ...]:
        return self.experience.classes

    @property
    def outputs(self) -> tuple[int, ...] | None:
        return self.experience.outputs

    def train(self) -> StoredSamples:
        return self.experience.train

    def test(self) -> StoredSamples:
        return self.held


def held_experiences(
    lineage: Lineage, state: State, stream: Stream, learned: int, *, cuts: Sequence[int] = (), together: bool = False
) -> list[StreamExperience]:
    """The experiences of a stream that are in the holdout; their test sets are their samples there.

    Args:
        stream: without what was rolled back, whose samples are left out.
        learned: later experiences are left out.
        cuts: experiences, ascending, such as the last one that the champion has learned.
        together: where all units are active for every sample, the samples up to each cut, and those after the last, are
            one test set, that of the last of their experiences: asking a model then costs what its samples cost,
            however many experiences they are of.

    Raises:
        StorageError: the holdout cannot be read; damaged, it is a CorruptBlob.
    """
    blob = state.holdout_blob()
    if blob is None:
        return []
    tensors = lineage.tensors(blob.sha256)
    rows: dict[int, list[int]] = {}
    for row, serial in enumerate(tensors[SERIALS].tolist()):
        rows.setdefault(serial, []).append(row)
    there = {(one.fingerprint, one.test_fingerprint): rows.get(one.serial) for one in state.experiences}
    found: dict[int, list[int]] = {}
    for index in range(min(len(stream), learned + 1)):
        chosen = there.get((stream.fingerprint(index), stream.test_fingerprint(index)))
        if chosen:
            found[index] = chosen
    if together and found and all(stream[index].outputs is None for index in found):
        sides = [[i for i in found if bisect_left(cuts, i) == side] for side in range(len(cuts) + 1)]
        found = {max(side): [row for i in side for row in found[i]] for side in sides if side}
    held = {i: TensorSamples(*(tensors[n][rows] for n in ("inputs", "targets", "ids"))) for i, rows in found.items()}
    return [StreamExperience(index, HoldoutPart(stream[index], samples)) for index, samples in held.items()]

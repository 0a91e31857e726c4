"""How the inputs of files that wait for their labels differ from what was learned, and how well a model may do on them.

No labels are needed: the inputs, or what a model predicts, are compared with the test sets of the last experiences, and
its accuracy is estimated from how certain it is (CBPE). It decides nothing. A step compares the inputs once, when it
admits a file, and keeps the figures in the admission log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import CorruptBlob
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.admission_entries import AdmittedExperience, InputDrift
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admitted_stream import files_of, source_of
from orchestrator.updates.drift_report import estimated_on
from orchestrator.updates.observe_pending import COMPARED
from pipelines.data.datasets.arriving_files import ArrivingFiles
from pipelines.data.samples import TensorSamples
from pipelines.drift.stream_drift import chunk_drift
from pipelines.drift.verdicts import Verdict

if TYPE_CHECKING:
    from torch import Tensor

    from orchestrator.updates.admission_record import State
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


@dataclass(frozen=True)
class WaitingDrift:
    """What the tests say of a file that waits for labels.

    Attributes:
        key: of the file.
        rows: how many it has.
        missing: how many of them have no label.
        tests: verdicts on its inputs by the name of the test.
        accuracy: of the model on it, estimated without labels; None: no model was asked.
    """

    key: str
    rows: int
    missing: int
    tests: dict[str, Verdict]
    accuracy: float | None = None

    @property
    def drift(self) -> bool:
        return any(verdict.drift for verdict in self.tests.values())


def waiting_drift(
    pipeline: Pipeline,
    stream: Stream,
    tests: Sequence[str] = ("ks",),
    *,
    alpha: float = 0.01,
    least_effect: float | None = None,
    outputs: Callable[[Tensor], Tensor] | None = None,
    learned: int | None = None,
) -> list[WaitingDrift]:
    """Compare each file that waits for labels with the test sets of the last 8 experiences.

    Args:
        stream: what was admitted.
        tests, alpha, least_effect, outputs: as `pipelines.drift.stream_drift.stream_drift`.
        learned: with `outputs`, up to which experience test sets say how often the model is right when it is how
            certain.

    Raises:
        DataError, StorageError: the source or the store cannot be read.
    """
    source = source_of(pipeline)
    if source is None or source.mature is None:
        return []
    state = AdmissionLog(Lineage(open_store(pipeline.storage), pipeline.name)).read()
    files, reader = files_of(pipeline, source), ArrivingFiles(source)
    history = [stream[index].test for index in range(max(0, len(stream) - COMPARED), len(stream))]
    found: list[WaitingDrift] = []
    for key in state.waiting:
        file, data = state.files[key], files.read_key(key)
        if key not in state.missing or data is None or hashlib.sha256(data).hexdigest() != file.sha256:
            continue  # changed meanwhile: the next step decides on it
        samples = reader.inputs(key, data)
        verdicts = chunk_drift(
            history,
            samples,
            stream.outputs,
            tests,
            alpha=alpha,
            least_effect=least_effect,
            seed=pipeline.seed,
            outputs=outputs,
        )
        verdicts.pop("labels")
        accuracy = None
        if outputs is not None and learned is not None:
            accuracy = estimated_on(samples, stream, outputs, learned, pipeline.seed)
        found.append(WaitingDrift(key, file.rows or 0, state.missing[key], verdicts, accuracy))
    return found


def last_tests(lineage: Lineage, state: State, experiences: Sequence[AdmittedExperience]) -> list[TensorSamples]:
    """The test sets of the last 8 experiences, without those that are damaged or missing: `everlearn fsck` names them.

    Raises:
        StorageError: the store cannot be read.
    """
    found: list[TensorSamples] = []
    for one in experiences[-COMPARED:]:
        with suppress(CorruptBlob):
            tensors = lineage.tensors(state.test_blob(one).sha256)
            found.append(TensorSamples(tensors["inputs"], tensors["targets"], tensors["ids"]))
    return [samples for samples in found if len(samples)]  # all of a test set may be forgotten


def input_drift(history: Sequence[TensorSamples], samples: TensorSamples, classes: int, seed: int) -> InputDrift:
    """Compare the inputs of a file with test sets (`ks`), as `waiting_drift` does."""
    found = chunk_drift(history, samples, classes, seed=seed)["ks"]
    return InputDrift(
        effect=round(float(found.effect), 6),
        usual=round(float(found.usual), 6),
        p_value=round(float(found.p_value), 6),
        drift=bool(found.drift),
    )

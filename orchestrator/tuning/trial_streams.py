"""The streams that trials learn: made once by the driver, and shared by all processes of a node."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.data.validation_split import hold_out

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


@dataclass(frozen=True)
class Validation:
    """What trials are judged by instead of the test sets: a share of the training data, chosen by a seed."""

    share: float
    seed: int


@dataclass
class Streams:
    """Streams by what decides them; picklable, with references into Ray's object store in place of the data.

    Attributes:
        validation: None: the streams as they are, with their test sets.
        made: streams by key that are not in the object store yet.
        placed: references to the others.
    """

    validation: Validation | None = None
    made: dict[str, Stream] = field(default_factory=dict)
    placed: dict[str, Any] = field(default_factory=dict)

    def share(self, pipeline: Pipeline) -> Stream:
        """Make a pipeline's stream, with its fingerprints, for trials to find it.

        Raises:
            DataError: the dataset is missing, does not fit the stream, or is too small to be split.
        """
        key = _key(pipeline)
        if key in self.placed:
            return self.of(pipeline)
        if key in self.made:
            return self.made[key]
        stream = self._build(pipeline)
        for index in range(len(stream)):
            # Known here, they are not computed in every trial.
            stream.fingerprint(index)
            stream.test_fingerprint(index)
        self.made[key] = stream
        return stream

    def place(self) -> None:
        """Put what was made into the object store of the Ray cluster that this process is connected to."""
        import ray

        while self.made:
            key, stream = self.made.popitem()
            self.placed[key] = ray.put(stream)

    def of(self, pipeline: Pipeline) -> Stream:
        """A pipeline's stream. One whose settings change the data themselves is made here. Raises as `share`."""
        key = _key(pipeline)
        if key in self.made:
            return self.made[key]
        reference = self.placed.get(key)
        name = reference.hex() if reference is not None else f"{key} {self.validation}"
        if name not in _HERE:
            _HERE.clear()
            _HERE[name] = _taken(reference) if reference is not None else self._build(pipeline)
        return _HERE[name]

    def _build(self, pipeline: Pipeline) -> Stream:
        from orchestrator.updates.admitted_stream import stream_of

        stream = stream_of(pipeline)
        return hold_out(stream, self.validation.share, self.validation.seed) if self.validation else stream


def _taken(reference: Any) -> Stream:
    import ray

    stream: Stream = ray.get(reference)
    return stream


# A process runs many trials on the same stream, one after another.
_HERE: dict[str, Stream] = {}


def _key(pipeline: Pipeline) -> str:
    spec = pipeline.stream
    seeded = spec.order == "shuffled" or spec.transform is not None
    return json.dumps([spec.model_dump(mode="json"), pipeline.seed if seeded else None], sort_keys=True)

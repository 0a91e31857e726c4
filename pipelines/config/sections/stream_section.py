"""The `stream` part of a pipeline file: which data, in which order."""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from pipelines.config.document import KeyPath
from pipelines.config.masking import shorten
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.section import Count, OptionsSpec, Spec, refuse
from pipelines.config.sections.source_section import SourceSpec, dataset_of
from strategies.api.influence import LEARNED, THROUGH_DATA, Influence

Setting = Literal["class-incremental", "task-incremental", "domain-incremental"]
Order = Literal["natural", "shuffled"] | list[list[int | str]]


class DatasetSpec(OptionsSpec):
    """A dataset and its options.

    Attributes:
        name: a built-in or registered name, or an import path such as my_package.data:load.
    """

    component = "datasets"


class TransformSpec(OptionsSpec):
    """What changes from one experience to the next in a stream whose experiences all hold the same classes.

    Attributes:
        name: `permute` (pixels in another order) or `rotate`.
    """


class PermuteOptions(Spec):
    """Options of `permute`: none."""


def _degrees(value: Any) -> float | list[float] | None:
    numbers = value if isinstance(value, list) else [value]
    if value is None or (numbers and all(type(angle) in (int, float) and isfinite(angle) for angle in numbers)):
        return value  # type: ignore[no-any-return]
    raise ValueError("must be an angle, or a list with one for each experience")


class RotateOptions(Spec):
    """Options of `rotate`.

    Attributes:
        degrees: the angle of each experience, or of the last one; None: drawn from the seed.
    """

    degrees: Annotated[float | list[float] | None, PlainValidator(_degrees), THROUGH_DATA] = None


TRANSFORMS: dict[str, type[Spec]] = {"permute": PermuteOptions, "rotate": RotateOptions}


def transform_options(name: str) -> type[Spec]:
    """The options that the transform called `name` takes.

    Raises:
        PipelineError: there is no such transform.
    """
    if name not in TRANSFORMS:
        raise PipelineError(f"unknown transform '{shorten(name)}'. Known: {', '.join(TRANSFORMS)}")
    return TRANSFORMS[name]


def _order(value: Any) -> Order:
    if value in ("natural", "shuffled"):
        return value  # type: ignore[no-any-return]
    if (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(classes, (list, tuple)) and classes for classes in value)
        and all(type(label) in (int, str, bool) for classes in value for label in classes)
    ):
        return [[str(one).lower() if isinstance(one, bool) else one for one in classes] for classes in value]
    raise ValueError(
        "must be natural, shuffled, or the classes of each experience such as [[0, 1], [2, 3]] or [[cat, dog], [emu]]"
    )


class StreamSpec(Spec):
    """The data and how it is cut into experiences.

    Attributes:
        dataset: where the samples come from; with a `source`, it is left out.
        source: a folder or prefix where files arrive, which `everlearn step` admits one by one.
        setting: what changes from one experience to the next.
        experiences: how many experiences there are; None: given by `order` or by the dataset itself.
        order: classes in their natural order, shuffled by the seed, or listed for each experience, by number or name.
        transform: what changes from one experience to the next, all of which then hold the same classes. In a class- or
            task-incremental stream each experience has its own output units for them.
        online: each sample is shown once, and strategies learn where experiences end only if they ask for it.
        blurry: share of each experience's training samples that comes from the others.
        lanes: the samples of an experience are learned in an order of blocks, which are dealt to so many lanes. Files
            whose format has blocks, such as parquet, are then read block by block, and may be larger than memory.
        window: with lanes: blocks of a lane that are shuffled together.
    """

    dataset: Annotated[DatasetSpec, THROUGH_DATA]
    source: Annotated[SourceSpec | None, THROUGH_DATA] = None
    setting: Annotated[Setting, LEARNED] = "class-incremental"
    experiences: Annotated[Count | None, THROUGH_DATA] = Field(default=None, le=100_000)
    order: Annotated[Order, PlainValidator(_order), THROUGH_DATA] = "natural"
    transform: Annotated[TransformSpec | None, THROUGH_DATA] = None
    online: Annotated[bool, Influence(added="0.1", at_once=True)] = False
    blurry: Annotated[float, Field(ge=0, lt=1), Influence(added="0.1")] = 0.0
    lanes: Annotated[int | None, Field(ge=1, le=4096), Influence(added="0.2")] = None
    window: Annotated[int, Field(ge=1, le=1024), Influence(added="0.2")] = 4

    @property
    def length(self) -> int | None:
        """Number of experiences, None where only the dataset knows."""
        if isinstance(self.order, list):
            return len(self.order)
        angles = self.transform.options.get("degrees") if self.transform is not None else None
        return len(angles) if self.experiences is None and isinstance(angles, list) else self.experiences

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems: list[tuple[KeyPath, str]] = []
        if self.transform is not None:
            degrees = self.transform.options.get("degrees")
            angles = len(degrees) if isinstance(degrees, list) else None
            if self.order != "natural":
                problems.append((("order",), "must be left out: with a transform every experience has all classes"))
            if self.experiences is None and angles is None:
                problems.append((("experiences",), "is required with a transform"))
            if self.experiences is not None and angles is not None and angles < self.experiences:
                message = f"must list an angle for each of the {self.experiences} experiences, has {angles}"
                problems.append((("transform", "degrees"), message))
        problems += self._blurry_problems()
        problems += self._source_problems()
        if self.window != 4 and self.lanes is None:
            problems.append((("window",), "is for streams in lanes: set lanes, or leave it out"))
        if isinstance(self.order, list):
            if self.experiences is not None and self.experiences != len(self.order):
                message = f"lists {len(self.order)} experiences, but experiences is {self.experiences}"
                problems.append((("order",), message))
            counts = Counter(label for classes in self.order for label in classes)
            twice = [label for label, count in counts.items() if count > 1]
            if twice:
                problems.append((("order",), f"names class {', '.join(map(str, twice[:10]))} more than once"))
        refuse(problems)
        return self

    def _blurry_problems(self) -> list[tuple[KeyPath, str]]:
        if self.blurry == 0:
            return []
        reason = None
        if self.setting == "task-incremental":
            reason = "cannot be with task labels, which limit the classes of a sample: use class- or domain-incremental"
        elif self.transform is not None:
            reason = "cannot be with a transform, under which every experience has all classes: leave one of them out"
        elif self.lanes is not None:
            reason = "exchanges single samples, and samples in lanes are read in blocks: leave one of them out"
        elif self.length == 1:
            reason = "needs other experiences to take samples from, and the stream has one: leave it out"
        return [] if reason is None else [(("blurry",), reason)]

    def _source_problems(self) -> list[tuple[KeyPath, str]]:
        if self.source is None:
            return []
        unset = {"experiences": None, "order": "natural", "transform": None, "blurry": 0.0, "lanes": None}
        problems: list[tuple[KeyPath, str]] = [
            ((key,), "must be left out: with a source, what arrives decides it")
            for key, value in unset.items()
            if getattr(self, key) != value
        ]
        if self.dataset.to_document() != dataset_of(self.source.to_document()):
            problems.append((("dataset",), "must be left out: stream.source says where the data is"))
        return problems

"""The stream: an ordered, indexable, sliceable sequence of experiences."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, overload

import torch

from pipelines.config.component_arguments import arguments
from pipelines.config.component_options import TARGET_KIND, options_model, signature_model, takes_target_kind
from pipelines.config.components import declared, resolve
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.blocks.blockwise import Blockwise, have_columns
from pipelines.data.blurry_streams import blurred
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset, adopt
from pipelines.data.datasets.listed_experiences import experiences_in
from pipelines.data.experience_samples import Part, StoredPart, class_parts, column_parts, task_units, transformed_parts
from pipelines.data.fingerprint import fingerprint, fingerprints
from pipelines.data.kept_tests import KeptTests
from pipelines.data.samples import StoredSamples
from pipelines.data.splits import even_split, explicit_split, numbered, shuffled
from pipelines.data.stream_experience import StreamExperience
from pipelines.data.transforms import TRANSFORMS
from strategies.objectives.objective import TargetKind

if TYPE_CHECKING:
    from pipelines.capabilities.capability_items import CapabilitySet
    from pipelines.data.features.column_layout import ColumnLayout
    from pipelines.data.features.preprocessing import Preprocessing
    from pipelines.data.images.image_options import ImageInputs


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def options(self) -> Mapping[str, Any]: ...


class StreamSettings(Protocol):
    """The part `stream` of a pipeline file."""

    @property
    def dataset(self) -> _Named: ...

    @property
    def setting(self) -> str: ...

    @property
    def experiences(self) -> int | None: ...

    @property
    def order(self) -> str | Sequence[Sequence[int | str]]: ...

    @property
    def transform(self) -> _Named | None: ...

    @property
    def blurry(self) -> float: ...


class Stream(Sequence[StreamExperience]):
    """Experiences in order.

    A slice is a stream of the same experiences: they keep their index, fingerprints and output units. Picklable; data
    in memory is shared by the processes of a node when the pickle goes through Ray.

    Attributes:
        setting: `class-incremental`, `task-incremental` or `domain-incremental`.
        outputs: units of the model's head.
        input_shape: shape of one input.
        class_names: the name of each class of the dataset; None: classes are called by their numbers.
        unit_names: the name of the class of each output unit; None: units have no names, or stand for several classes.
        warnings: about the data, to show before training, a line each.
        preprocessing: what made the inputs from the columns of a table, fitted on experience 0; None: nothing.
        images: how image files become inputs; None: inputs were none.
        column_names: of inputs that are the numbers of a table; None: they have none, or `preprocessing` knows them.
        capabilities: what the model is asked beside the test sets (`pipelines.capabilities`).
        settings: found by searches in mid-stream, by experience: values by path (`pipelines.config.found_settings`).
    """

    def __init__(
        self,
        parts: Mapping[int, Part],
        *,
        setting: str,
        outputs: int,
        input_shape: tuple[int, ...],
        fingerprints: dict[tuple[int, bool], str] | None = None,
        class_names: tuple[str, ...] | None = None,
        unit_names: tuple[str, ...] | None = None,
        warnings: tuple[str, ...] = (),
        preprocessing: Preprocessing | None = None,
        images: ImageInputs | None = None,
        settings: Mapping[int, Mapping[str, Any]] | None = None,
        column_names: tuple[str, ...] | None = None,
    ) -> None:
        self._parts, self._indices = dict(parts), list(parts)
        self.setting, self.outputs, self.input_shape = setting, outputs, input_shape
        self.class_names, self.unit_names, self.warnings = class_names, unit_names, warnings
        self.preprocessing, self.images, self.column_names = preprocessing, images, column_names
        self.settings: Mapping[int, Mapping[str, Any]] = settings or {}
        self.capabilities: tuple[CapabilitySet, ...] = ()
        self._fingerprints: dict[tuple[int, bool], str] = {} if fingerprints is None else fingerprints
        self._kept = KeptTests()

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> StreamExperience: ...

    @overload
    def __getitem__(self, index: slice) -> Stream: ...

    def __getitem__(self, index: int | slice) -> StreamExperience | Stream:
        if isinstance(index, slice):
            part = copy.copy(self)
            part._indices = self._indices[index]
            part._parts = {i: self._parts[i] for i in part._indices}
            return part
        position = self._indices[index]
        return StreamExperience(position, self._parts[position], self._kept)

    def __iter__(self) -> Iterator[StreamExperience]:
        return (self[position] for position in range(len(self)))

    @property
    def layout(self) -> ColumnLayout | None:
        """What the columns of the inputs are; None: inputs are no table with features."""
        return None if self.preprocessing is None else self.preprocessing.layout

    def without(self, index: int) -> Stream:
        """The stream as if the data of experience `index` had never come: later experiences count one less."""
        rest, kept = copy.copy(self), [position for place, position in enumerate(self._indices) if place != index]
        rest._indices, rest._parts = list(range(len(kept))), {new: self._parts[old] for new, old in enumerate(kept)}
        known = {old: new for new, old in enumerate(kept)}
        rest._fingerprints = {(known[i], t): found for (i, t), found in self._fingerprints.items() if i in known}
        rest.settings = {known[i]: values for i, values in self.settings.items() if i in known}
        return rest

    def source(self, index: int) -> str | None:
        """The file of experience `index`, for messages; None: it is in no file of its own."""
        part = self._parts[self._indices[index]]
        return part.dataset.source(part.number) if isinstance(part, StoredPart) else None

    def read_ahead(self, index: int) -> None:
        """Let experience `index`, if there is one, be read while another is learned."""
        if 0 <= index < len(self):
            part = self._parts[self._indices[index]]
            if isinstance(part, StoredPart):
                part.dataset.read_ahead(part.number)

    def fingerprint(self, index: int) -> str:
        """SHA-256 (hex) of the training data of experience `index`: training inputs, ids, targets, transform.

        It does not change when the stream gets longer.
        """
        return self._fingerprint(index, test=False)

    def test_fingerprint(self, index: int) -> str:
        """SHA-256 (hex) of the test set of experience `index` of this stream."""
        return self._fingerprint(index, test=True)

    def _fingerprint(self, index: int, test: bool) -> str:
        key = (self._indices[index], test)
        if key not in self._fingerprints:
            self._fingerprints[key] = fingerprint(*self._hashed(*key))
        return self._fingerprints[key]

    def _hashed(self, position: int, test: bool) -> tuple[StoredSamples, dict[str, Any] | None]:
        """What the fingerprint of a set is made of."""
        part = self._parts[position]
        transform = None if part.transform is None else part.transform.parameters
        return part.train() if not test else part.test() if transform else self._kept.of(part), transform

    def find_fingerprints(self) -> None:
        """Find those of all sets: faster than one by one."""
        keys = [(position, test) for position in self._indices for test in (False, True)]
        self._fingerprints |= fingerprints({k: partial(self._hashed, *k) for k in keys if k not in self._fingerprints})


def build_stream(
    settings: StreamSettings, seed: int, kind: TargetKind = "classes", index: IndexStore | None = None
) -> Stream:
    """The stream that a pipeline file describes.

    Args:
        seed: seed of the order, of the transforms and of the exchange between blurry experiences.
        kind: what the objective learns (`pipelines.build.make_stream` knows it).
        index: keeps the index of data that is read by blocks, for streams with `lanes`; None: it is made on each use.

    Raises:
        DataError: the dataset is missing, or does not fit the stream.
        PipelineError: an unknown dataset, or options that the dataset does not take.
    """
    name = settings.dataset.name
    load = resolve("datasets", name)
    options = arguments(options_model("datasets", name), settings.dataset.options, "stream.dataset")
    by_blocks: Any = declared("datasets", name, "BLOCKS") if getattr(settings, "lanes", None) is not None else None
    options |= {TARGET_KIND: kind} if takes_target_kind(load) else {}
    returned = load(**options) if by_blocks is None else by_blocks(index, **options)
    own = experiences_in(name, returned, kind) if by_blocks is None else returned
    dataset = adopt(name, returned, kind) if own is None else own
    if not isinstance(dataset, Dataset):
        return _stored(dataset, settings, seed)
    if settings.transform is not None:
        if dataset.fit is not None:
            raise DataError("stream.transform: the columns of a table are no pixels: leave `transform` or features out")
        return _transformed(dataset, settings, seed)
    stream = _by_class(dataset, settings, seed)
    if dataset.fit is None:
        return stream
    # Only now it is known which samples experience 0 has.
    train = stream[0].train
    rows = train if isinstance(train, Blockwise) else train.take(torch.arange(len(train)))[0]
    return _by_class(dataset.fit(rows), settings, seed)


def _by_class(dataset: Dataset, settings: StreamSettings, seed: int) -> Stream:
    order, experiences = settings.order, settings.experiences
    if have_columns(dataset.train):
        return _single(dataset, settings)
    if isinstance(order, str):
        if experiences is None:
            raise DataError(
                f"stream.experiences: is missing: how many share the {dataset.classes} classes of {dataset.name}?"
            )
        numbers = shuffled(dataset.classes, seed) if order == "shuffled" else list(range(dataset.classes))
        groups = even_split(numbers, experiences)
    else:
        listed = numbered(order, dataset.classes, dataset.class_names)
        groups = explicit_split(listed, dataset.classes, experiences)
    parts = class_parts(dataset, groups, settings.setting)
    problems = [
        f"{dataset.name}: experience {index} (classes {', '.join(map(str, part.classes))}) has no {name} samples"
        for index, part in enumerate(parts)
        for name in part.empty()
    ]
    if problems:
        raise DataError([*problems, *(f"  {text}" for text in dataset.warnings)])
    outputs = max(map(len, groups)) if settings.setting == "domain-incremental" else dataset.classes
    # There a unit stands for a class of each experience.
    named = settings.setting != "domain-incremental"
    if not settings.blurry:
        return _stream(parts, settings.setting, outputs, dataset, named=named)
    if settings.setting == "task-incremental" or len(parts) == 1:
        why = "task labels say what a sample may be" if len(parts) > 1 else "the stream has one experience"
        raise DataError(f"stream.blurry: experiences cannot share samples, {why}: leave `blurry` out")
    mixed = blurred(dataset, dict(enumerate(parts)), settings.blurry, seed)
    return _stream(list(mixed.values()), settings.setting, outputs, dataset, named=named)


def _single(dataset: Dataset, settings: StreamSettings) -> Stream:
    """The stream of a dataset without classes: one experience, as nothing says how to divide it."""
    experiences = 1 if settings.experiences is None else settings.experiences
    if experiences != 1 or not isinstance(settings.order, str) or settings.blurry:
        raise DataError(
            f"stream: {dataset.name} has no classes by which it could be divided into experiences: name the column "
            "that divides it (dataset.by), give a folder with one file for each, or a function that returns a list "
            "with (train, test) of each; or name a transform"
        )
    return _stream(column_parts(dataset, [None], settings.setting), settings.setting, dataset.classes, dataset)


def _transformed(dataset: Dataset, settings: StreamSettings, seed: int) -> Stream:
    transform, experiences = settings.transform, settings.experiences
    assert transform is not None
    for key, unset in (("order", "natural"), ("blurry", 0)):
        if getattr(settings, key) != unset:
            raise DataError(f"stream.{key}: with a transform every experience has all classes: leave `{key}` out")
    if transform.name not in TRANSFORMS:
        raise PipelineError(f"stream.transform: unknown '{transform.name}'; known: {', '.join(TRANSFORMS)}")
    make = TRANSFORMS[transform.name]
    if experiences is None:
        raise DataError(f"stream.experiences: is missing: how many experiences does {transform.name} make?")
    given = {"experiences": experiences, "seed": seed, "input_shape": dataset.input_shape}
    options = arguments(signature_model(make, provided=frozenset(given)), transform.options, "stream.transform")
    made, columns = make(**given, **options), have_columns(dataset.train)
    parts: Sequence[Part] = (column_parts if columns else transformed_parts)(dataset, made, settings.setting)
    units = dataset.classes * (1 if settings.setting == "domain-incremental" else experiences)
    return _stream(parts, settings.setting, units, dataset)


def _stored(dataset: ExperienceDataset, settings: StreamSettings, seed: int) -> Stream:
    order, count = settings.order, len(dataset)
    for key, given in (("transform", settings.transform), ("blurry", settings.blurry)):
        if given:
            raise DataError(f"stream.{key}: {dataset.name} already comes in experiences: leave `{key}` out")
    if not isinstance(order, str):
        raise DataError(f"stream.order: {dataset.name} already comes in experiences: use natural or shuffled")
    experiences = count if settings.experiences is None else settings.experiences
    if not 1 <= experiences <= count:
        raise DataError(f"stream.experiences: {experiences} experiences, but {dataset.name} has {count}")
    numbers = (shuffled(count, seed) if order == "shuffled" else list(range(count)))[:experiences]
    dataset = dataset.fitted(numbers[0])
    masked, columns = settings.setting == "task-incremental", have_columns(dataset.train(numbers[0]))
    if masked and columns:
        width = dataset.classes
        tasks = [StoredPart(dataset, n, masked, units=task_units(task, width)) for task, n in enumerate(numbers)]
        return _stream(tasks, settings.setting, width * experiences, dataset)
    stream = _stream([StoredPart(dataset, n, masked) for n in numbers], settings.setting, dataset.classes, dataset)
    stream.warnings += dataset.domain_warnings if settings.setting == "domain-incremental" else ()
    return stream


def _stream(
    parts: Sequence[Part], setting: str, outputs: int, dataset: Dataset | ExperienceDataset, *, named: bool = True
) -> Stream:
    """The stream of the parts.

    Args:
        named: whether an output unit stands for the class of its number.
    """
    if math.prod(dataset.input_shape) == 0:
        raise DataError(f"the dataset's inputs are empty: their shape is {dataset.input_shape}")
    names = dataset.class_names
    return Stream(
        dict(enumerate(parts)),
        setting=setting,
        outputs=outputs,
        input_shape=dataset.input_shape,
        class_names=names,
        unit_names=None if names is None or len(names) != outputs or not named else names,
        warnings=dataset.warnings,
        preprocessing=dataset.preprocessing,
        images=dataset.images,
    )

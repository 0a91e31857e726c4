"""A commented pipeline file for a user's data, as `everlearn init` writes it."""

from __future__ import annotations

import inspect
import json
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.build import make_model, make_stream
from pipelines.config.components import resolve
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, adopt
from pipelines.data.datasets.held_out_part import TestPart
from pipelines.data.detect_columns import MOST_CLASSES
from pipelines.data.detect_dataset import Detected, detect_dataset

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.datasets.dataset import ExperienceDataset

_STEPS = 300
_TEST_SHARE = 0.2
"""The approximate number of steps of an experience: enough to learn, few enough for a first run."""


@dataclass(frozen=True)
class StarterFile:
    """A pipeline file.

    Attributes:
        name: name of the pipeline.
        text: content of the file, in YAML.
        notes: what was found and what was chosen, a sentence each; they are comments of the file, too.
    """

    name: str
    text: str
    notes: tuple[str, ...]


def starter_file(path: str, label: str | None = None) -> StarterFile:
    """A pipeline file for the data at `path`, checked as `everlearn validate` checks it.

    Args:
        path: a file or a folder, on this machine or s3://.
        label: the column or array of the labels; None: chosen by its name or its values.

    Raises:
        PipelineError: no dataset reads the data, or the data does not fit.
    """
    found = detect_dataset(path, label)
    facts = _facts(_load(found))
    name = _name(path)
    text = _text(name, found, facts)
    _check(load_text(text, f"the file for {path}"))
    return StarterFile(name, text, (*found.notes, *facts.notes))


def _load(found: Detected) -> Dataset | ExperienceDataset:
    """The dataset; labels that are not 0, 1, 2, ... without gaps are listed in its option `classes`."""
    load: Any = resolve("datasets", found.name)
    data = adopt(found.name, load(**found.options))
    if isinstance(data, Dataset):
        present = np.unique(np.concatenate([data.train.targets.numpy(), data.test.targets.numpy()])).tolist()
    else:
        present = sorted(set().union(*(data.classes_of(index) for index in range(len(data)))))
    where = found.options.get("path", found.name)
    label = found.options.get("label", _default_label(load))
    if len(present) < 2:
        raise DataError(f"{where}: all samples have the same label; is '{label}' the right one (--label)?")
    if len(present) > MOST_CLASSES:
        raise DataError(f"{where}: {len(present):,} different labels; is '{label}' the right one (--label)?")
    if len(present) != data.classes:
        found.options["classes"] = present
        data = adopt(found.name, load(**found.options))
    return _with_lasting_test_part(found, load, data)


def _with_lasting_test_part(
    found: Detected, load: Any, data: Dataset | ExperienceDataset
) -> Dataset | ExperienceDataset:
    """The test part by a hash of the ids, where a table has ids and each class has samples in both parts then."""
    if not found.table or "id" not in found.options or "test" in found.options:
        return data
    try:
        made = adopt(found.name, load(**found.options, test=TestPart(id_hash=_TEST_SHARE)))
    except DataError:
        return data  # a part is empty
    if isinstance(made, Dataset):
        parts = [(made.train, made.test)]
    else:
        parts = [(made.train(index), made.test(index)) for index in range(len(made))]
    if any(set(train.targets.tolist()) != set(test.targets.tolist()) for train, test in parts):
        return data
    found.options["test"] = {"id_hash": _TEST_SHARE}
    return made


def _default_label(load: Any) -> str:
    option = inspect.signature(load).parameters.get("label")
    return str(option.default) if option is not None else "label"


@dataclass
class _Facts:
    """The facts about the data that decide the rest of the file."""

    setting: str
    why: str
    experiences: int | None
    classes: int
    samples: int
    each: int
    input_shape: tuple[int, ...]
    notes: list[str]


def _facts(data: Dataset | ExperienceDataset) -> _Facts:
    if isinstance(data, Dataset):
        return _one_set(data)
    groups = [data.classes_of(index) for index in range(len(data))]
    samples = sum(len(data.train(index)) for index in range(len(data)))
    notes = [f"{data.classes} classes, {samples:,} training samples, inputs of shape {list(data.input_shape)}"]
    if all(group == groups[0] for group in groups):
        setting, why = "domain-incremental", "Every file holds the same classes, so that only their inputs change."
    else:
        setting = "class-incremental"
        why = "The files hold different classes. task-incremental, if the task of a test sample is known."
    notes.append(f"{len(data)} experiences, one for each file in the order of their names")
    notes += ["New files must sort behind the others; they become the next experiences"]
    each = math.ceil(samples / len(data))
    return _Facts(setting, why, None, data.classes, samples, each, data.input_shape, notes)


def _one_set(data: Dataset) -> _Facts:
    samples, tests = len(data.train), len(data.test)
    shape = list(data.input_shape)
    notes = [f"{data.classes} classes, {samples:,} training and {tests:,} test samples, inputs of shape {shape}"]
    experiences = 5 if data.classes >= 10 else max(2, data.classes // 2)
    why = "New classes in each experience. task-incremental, if the task of a test sample is known."
    notes.append(f"Split by class into {experiences} experiences: one set of samples has no order of its own")
    return _Facts(
        "class-incremental", why, experiences, data.classes, samples, samples // experiences, data.input_shape, notes
    )


def _text(name: str, found: Detected, facts: _Facts) -> str:
    batch = 32 if facts.each < 5000 else 128
    epochs = min(20, max(1, math.ceil(_STEPS * batch / max(facts.each, 1))))
    capacity = min(2000, max(10 * facts.classes, facts.samples // 10))
    model, about_model = _model(facts.input_shape)
    tabular = len(facts.input_shape) == 1 and found.table
    lines = [
        *_comment("A first pipeline, written by `everlearn init`. What was found:"),
        *(line for note in (*found.notes, *facts.notes) for line in _comment(f"- {note}.")),
        *_comment("`everlearn list strategies|datasets|models NAME` explains the options of each part."),
        f"name: {name}",
        "seed: 0  # of everything random",
        "",
        "stream:",
        f"  dataset: {_flow({'name': found.name, **found.options})}",
        *_comment("The numbers are used as they are: bring columns of very different sizes to one scale first.", "  ")[
            : None if tabular else 0
        ],
        *_comment(facts.why, "  "),
        f"  setting: {facts.setting}",
        *([f"  experiences: {facts.experiences}"] if facts.experiences is not None else []),
        "",
        *_comment(about_model),
        f"model: {_flow(model)}",
        "",
        *_comment("Replays a memory of past samples. Which other methods fit, and why: `everlearn recommend FILE`."),
        "strategy:",
        f"  - {_flow({'name': 'replay', 'capacity': capacity, 'policy': 'class-balanced'})}",
        "",
        "train:",
        f"  epochs: {epochs}  # of each experience",
        f"  batch_size: {batch}  # of all workers together: their number never changes what is learned",
        "  optimizer: {name: adam, lr: 0.001}",
        "",
        "scaling: {workers: 1}  # Ray workers",
        *_comment("Where commits and metrics go; by default .everlearn/ in the working directory:"),
        *_comment("storage: s3://bucket/prefix"),
        *_comment("tracking: {uri: http://mlflow.example.org:5000}"),
    ]
    return "\n".join(lines) + "\n"


def _model(shape: Sequence[int]) -> tuple[dict[str, Any], str]:
    images = len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 2, 3, 4))
    if images and min(shape[-2:]) >= 8:
        return {"name": "cnn"}, "For images; resnet18-slim is larger and slower."
    wide = math.prod(shape) >= 256
    text = "Fully connected layers on the flattened inputs."
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        text += " For cnn, store images as (channels, height, width)."
    return {"name": "mlp", "hidden": [400, 400] if wide else [128, 128]}, text


def _check(pipeline: Pipeline) -> None:
    make_model(pipeline, make_stream(pipeline))


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ", break_on_hyphens=False
    )


def _flow(value: dict[str, Any]) -> str:
    """A mapping on one line of YAML: JSON, except that plain words have no quotes."""
    plain = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
    reserved = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

    def written(one: Any) -> str:
        if isinstance(one, dict):
            return _flow(one)
        if isinstance(one, list):
            return f"[{', '.join(map(written, one))}]"
        bare = isinstance(one, str) and plain.fullmatch(one) and one.lower() not in reserved
        return str(one) if bare else json.dumps(one, ensure_ascii=False)

    return "{" + ", ".join(f"{key}: {written(one)}" for key, one in value.items()) + "}"


def _name(path: str) -> str:
    stem = PurePath(path.rstrip("/")).stem.lower() if path.strip("./") else ""
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:100] or "pipeline"

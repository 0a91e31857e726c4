"""The metrics that MLflow shows of a chain of commits, with their steps and times.

Pure functions of the commits: the same chain gives the same points at any time and on any machine. MLflow keeps points
that are equal in name, step, time and value only once, so everything may be written again without harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.lineage.accuracy_matrix import sparse_values, values_of
from orchestrator.lineage.chain_metrics import class_accuracy, course_metrics
from orchestrator.lineage.running_matrix import Course
from orchestrator.lineage.sparse_row import cells

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit

LOSS = "loss/train"
VERDICTS = {"lost": -1.0, "undecided": 0.0, "kept": 1.0}
"""How MLflow, which takes numbers alone, shows the verdict on a capability."""
# The same limit as that of a confusion matrix: a chart of more classes cannot be read.
MOST_CLASSES = 256


class Point(NamedTuple):
    """One value of a metric. `time` is in Unix milliseconds."""

    key: str
    value: float
    time: int
    step: int


def parent_points(
    chain: Sequence[Commit],
    stream_length: int,
    first: int = 0,
    reference: Sequence[float | None] = (),
    course: Course | None = None,
    class_names: Sequence[str] | None = None,
) -> Iterator[Point]:
    """The points of the run itself but for the losses, of the steps from `first` on.

    Args:
        chain: the commits, oldest first, from experience 0.
        stream_length: experiences in the stream; a chain of that length is complete and has `final/...` values.
        first: index of the first experience to give points for.
        reference: what joint training reaches, as far as it is known.
        course: has followed the chain.
        class_names: of the output units; None: they have numbers.
    """
    course = course or Course().follow(chain)
    metrics = course_metrics(course, chain, reference, first)
    for index in range(first, len(chain)):
        commit, time = chain[index], milliseconds(chain[index])
        for name, value in metrics[index - first].items():
            if value is not None:
                # The UI shows every digit: round, so that it shows 0.939 and not 0.9390000000000001.
                value = round(value, 12)
                yield Point(key_of(name), value, time, index)
                if index == stream_length - 1:
                    # The UI draws a bar for each run if a metric has one point, at step 0.
                    yield Point(f"final/{key_of(name)}", value, time, 0)
        rows = {course.scores[0].name: course.rows[index]}
        values = sparse_values if course.partial else values_of
        rows |= {score.name: values(commit.row, course.tests, score.name) for score in course.scores[1:]}
        for name, row in rows.items():
            for column, value in cells(row):
                yield Point(f"{key_of(name)}/{label(column, stream_length)}", value, time, index)
        yield from _class_points(commit, time, index, class_names)
        for one in commit.capabilities or ():
            name = key_of(one.name)
            if not index:
                yield Point(f"capability_before/{name}", round(one.base, 12), time, 0)
            yield Point(f"capability/{name}", round(one.value, 12), time, index)
            yield Point(f"capability_verdict/{name}", VERDICTS[one.verdict], time, index)
        yield Point("progress/samples", float(commit.experience.samples), time, index)
        yield Point("progress/optimizer_steps", float(commit.steps), time, index)
        for part, seconds in sorted(commit.timings.items()):
            yield Point(f"seconds/{part}", seconds, time, index)


def key_of(name: str, *, slashes: bool = False) -> str:
    """A metric's name in the characters that MLflow takes: `recall@precision=0.9` as `recall_at_precision_0.9`."""
    text = name.replace("@", "_at_").replace("=", "_")
    return "".join(c if (c.isascii() and c.isalnum()) or c in ("_-. /" if slashes else "_-. ") else "_" for c in text)[
        :200
    ]


def _class_points(commit: Commit, time: int, index: int, names: Sequence[str] | None) -> Iterator[Point]:
    """`class_accuracy/cat`, or where classes are numbers `class_accuracy/07`: with zeros, because the UI sorts by
    characters. A larger head has no such points."""
    outputs = commit.spec.get("outputs")
    classes = class_accuracy(commit)
    units = outputs if isinstance(outputs, int) else 1 + max(classes, default=0)
    if units <= MOST_CLASSES:
        labels = _class_labels(units, names)
        for unit, value in classes.items():
            yield Point(f"class_accuracy/{labels[unit]}", round(value, 12), time, index)


def _class_labels(units: int, names: Sequence[str] | None) -> list[str]:
    """What each class is called in MLflow; by numbers too where names differ in characters only that MLflow refuses."""
    numbers = [f"{unit:0{max(2, len(str(units - 1)))}d}" for unit in range(units)]
    if names is None or len(names) != units or all(name.isdecimal() for name in names):
        return numbers
    labels = [key_of(name).strip() for name in names]
    distinct = len({label.casefold() for label in labels}) == units and all(label.strip(".") for label in labels)
    return labels if distinct else numbers


def loss_points(chain: Sequence[Commit], first: int = 0) -> Iterator[Point]:
    """The loss by optimiser step of the whole stream, from experience `first` on."""
    for index in range(first, len(chain)):
        offset = steps_before(chain, index)
        for step, loss, time in chain[index].losses:
            yield Point(LOSS, loss, time, offset + step)


def child_points(chain: Sequence[Commit], first: int = 0, course: Course | None = None) -> dict[int, list[Point]]:
    """The points of each experience's own run: how well it is remembered since it was learned, and its loss."""
    course = course or Course().follow(chain)
    rows, name = course.rows, f"eval/{key_of(course.scores[0].name)}"
    points: dict[int, list[Point]] = {experience: [] for experience in range(len(chain))}
    for index in range(first, len(chain)):
        for experience, value in cells(rows[index]):
            if experience <= index:
                points[experience].append(Point(name, value, milliseconds(chain[index]), index))
        points[index] += [Point("train/loss", loss, time, step) for step, loss, time in chain[index].losses]
    return points


def steps_before(chain: Sequence[Commit], experience: int) -> int:
    """Optimiser steps of the stream before `experience`."""
    return sum(commit.steps for commit in chain[:experience])


def label(experience: int, stream_length: int) -> str:
    """`experience_07`: padded with zeros, because the UI sorts by characters."""
    return f"experience_{experience:0{3 if stream_length > 100 else 2}d}"


def milliseconds(commit: Commit) -> int:
    """When the commit was made, in Unix milliseconds."""
    return int(datetime.fromisoformat(commit.created).timestamp() * 1000)


def start_milliseconds(chain: Sequence[Commit]) -> int:
    """When training began, according to the commits, in Unix milliseconds."""
    return min([milliseconds(chain[0]), *(time for _, _, time in chain[0].losses[:1])])

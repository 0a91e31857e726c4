"""Drift between the experiences of a stream: each against those before it, in inputs and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.named_columns import NamedColumn
from pipelines.data.samples import StoredSamples
from pipelines.data.streams import Stream
from pipelines.drift.column_change import ColumnChange, column_changes
from pipelines.drift.label_change import class_shares
from pipelines.drift.two_sample import TESTS, Array
from pipelines.drift.verdicts import Verdict, judge

MOST_ROWS = 1000
MOST_COLUMNS = 32
LEAST_LABEL_CHANGE = 0.1


@dataclass(frozen=True)
class ExperienceDrift:
    """What the tests say of an experience.

    Attributes:
        experience: its index, from 1.
        tests: verdicts by the name of the test.
        columns: how much each column of a table has changed, the most first; they decide nothing.
    """

    experience: int
    tests: dict[str, Verdict]
    columns: tuple[ColumnChange, ...] = ()

    @property
    def drift(self) -> bool:
        return any(verdict.drift for verdict in self.tests.values())


def stream_drift(
    stream: Stream,
    tests: Sequence[str] = ("ks",),
    *,
    alpha: float = 0.01,
    least_effect: float | None = None,
    seed: int = 0,
    outputs: Callable[[Tensor], Tensor] | None = None,
    columns: Sequence[NamedColumn] = (),
) -> list[ExperienceDrift]:
    """Compare the training set of each experience with those before it.

    At most 1000 samples of each are used: those whose ids have the smallest hashes, so that the verdict depends neither
    on the order of the data nor on the number of workers. Inputs of more than 32 numbers are projected to 32 first
    (sparse random projection, Li, Hastie & Church 2006), unless `outputs` is given.

    Args:
        tests: names in `two_sample.TESTS`; the class shares, or the columns of targets by `ks`, are always compared
            (`labels`).
        alpha: a p-value below it is needed for drift; divided by the number of tests.
        least_effect: the effect that is needed for drift; None: that of each test.
        outputs: a trained model's outputs for stored inputs, (n, units): its softmax is compared instead of the inputs
            (BBSD, Lipton, Wang & Smola 2018), or where targets are columns the outputs themselves.
        seed: of projection and resampling.
        columns: of the inputs, whose change is measured one by one.

    Raises:
        ValueError: there is no such test.
    """
    _refuse_unknown(tests)
    comparison = _Comparison(tests, stream.outputs, alpha, least_effect, seed, outputs)
    names, positions = [column.name for column in columns], [column.position for column in columns]
    tables: list[Array] = []
    numbers: list[Array] = []
    labels: list[Array] = []
    found: list[ExperienceDrift] = []
    for experience in stream:
        inputs, targets = sampled_rows(experience.train, seed)
        rows, own, in_columns = comparison.compared(inputs, targets, experience.train.targets)
        table: Array = inputs[:, positions].numpy().astype(np.float64) if names else np.zeros((0, 0))
        if numbers:
            verdicts = comparison.verdicts(numbers, labels, rows, own, in_columns)
            changes = column_changes(names, np.concatenate(tables), table) if names else ()
            found.append(ExperienceDrift(experience.index, verdicts, changes))
        tables.append(table)
        numbers.append(rows)
        labels.append(own)
    return found


def chunk_drift(
    history: Sequence[StoredSamples],
    chunk: StoredSamples,
    classes: int,
    tests: Sequence[str] = ("ks",),
    *,
    alpha: float = 0.01,
    least_effect: float | None = None,
    seed: int = 0,
    outputs: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Verdict]:
    """Compare one set of samples with those before it: verdicts by the name of the test.

    Args:
        history: past sets of samples, at least one.
        chunk: the new one.
        classes: how many output units there are.
        tests, alpha, least_effect, seed, outputs: as `stream_drift`.

    Raises:
        ValueError: there is no such test.
    """
    _refuse_unknown(tests)
    comparison = _Comparison(tests, classes, alpha, least_effect, seed, outputs)
    past = [comparison.sampled(samples) for samples in history]
    rows, own, columns = comparison.sampled(chunk)
    return comparison.verdicts([one[0] for one in past], [one[1] for one in past], rows, own, columns)


@dataclass(frozen=True)
class _Comparison:
    """The tests of one stream."""

    tests: Sequence[str]
    classes: int
    alpha: float
    least_effect: float | None
    seed: int
    outputs: Callable[[Tensor], Tensor] | None

    def sampled(self, samples: StoredSamples) -> tuple[Array, Array, bool]:
        """What is compared of a set of samples: its inputs, its labels, and whether these are columns."""
        return self.compared(*sampled_rows(samples, self.seed), samples.targets)

    def compared(self, inputs: Tensor, targets: Tensor, all_targets: Tensor) -> tuple[Array, Array, bool]:
        """The same of its sampled rows, and the targets of all."""
        columns = is_columns(targets)
        rows = _columns(inputs, self.seed) if self.outputs is None else _predicted(self.outputs(inputs), columns)
        own: Array = targets.numpy().astype(np.float64) if columns else _histogram(all_targets, self.classes)
        return rows, own, columns

    def verdicts(
        self, numbers: Sequence[Array], labels: Sequence[Array], rows: Array, own: Array, columns: bool
    ) -> dict[str, Verdict]:
        """Each test of the inputs, and that of the labels."""
        alpha, least = self.alpha / (len(self.tests) + 1), self.least_effect
        found = {
            name: judge(
                numbers,
                rows,
                TESTS[name].compare,
                least_effect=TESTS[name].least_effect if least is None else least,
                alpha=alpha,
                seed=self.seed,
            )
            for name in self.tests
        }
        limit = LEAST_LABEL_CHANGE if least is None else least
        if columns:
            compare = TESTS["ks"].compare
            return found | {"labels": judge(labels, own, compare, least_effect=limit, alpha=alpha, seed=self.seed)}
        shares = class_shares(sum(labels[1:], labels[0]).tolist(), own.tolist())
        changed = shares.p_value < alpha and shares.effect > limit
        return found | {"labels": Verdict(shares.effect, limit, shares.p_value, changed)}


def sampled_rows(samples: StoredSamples, seed: int) -> tuple[Tensor, Tensor]:
    """The inputs and targets of at most 1000 samples: those whose ids have the smallest hashes, in their order.

    Tests that draw rows at random then draw the same ones, whatever the stored order.
    """
    return samples.take(torch.argsort(_hashes(samples.ids, seed))[:MOST_ROWS])


def _refuse_unknown(tests: Sequence[str]) -> None:
    unknown = [name for name in tests if name not in TESTS]
    if unknown:
        raise ValueError(f"no test {unknown[0]!r}; there are {', '.join(TESTS)}")


def _histogram(targets: Tensor, classes: int) -> Array:
    counts: Array = np.bincount(targets.numpy(), minlength=classes).astype(np.float64)
    return counts


def _hashes(ids: Tensor, seed: int) -> Tensor:
    """A well-mixed whole number for each id, (n,): splitmix64's finaliser, with wrapping arithmetic."""
    with np.errstate(over="ignore"):
        mixed = ids.numpy().astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return torch.from_numpy((mixed >> np.uint64(1)).astype(np.int64))


def _columns(inputs: Tensor, seed: int) -> Array:
    rows: Array = inputs.reshape(len(inputs), -1).numpy().astype(np.float64)
    width = rows.shape[1]
    if width <= MOST_COLUMNS:
        return rows
    random = np.random.Generator(np.random.Philox(seed))
    share = 1 / np.sqrt(width)
    signs = random.choice([-1.0, 0.0, 1.0], size=(width, MOST_COLUMNS), p=[share / 2, 1 - share, share / 2])
    projected: Array = rows @ (signs / np.sqrt(share * MOST_COLUMNS))
    return projected


def _predicted(outputs: Tensor, columns: bool) -> Array:
    shares: Array = (outputs.double() if columns else torch.softmax(outputs.double(), dim=1)).numpy()
    return shares

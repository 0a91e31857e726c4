"""What accuracy hides: a class that outnumbers all others, and a class of which nothing is classified right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from strategies.metrics.class_scores import Counts, recalls

MAJORITY = 0.9
"""Share of the samples above which a class makes accuracy misleading."""
ENOUGH = 10
"""Fewer samples of a class say nothing of its recall."""

_REMEDY = "set score: balanced_accuracy (metrics: [auroc] beside it) and objective.class_weights: balanced"


def majority(samples: Mapping[int, int]) -> tuple[int, float] | None:
    """The class with more than `MAJORITY` of the samples and its share; None where there is none.

    Args:
        samples: number of samples by class.
    """
    total = sum(samples.values())
    label = max(samples, key=lambda one: samples[one], default=0)
    share = samples[label] / total if total else 0.0
    return (label, share) if share > MAJORITY and len([n for n in samples.values() if n]) > 1 else None


def data_warning(samples: Mapping[int, int], names: Sequence[str] | None = None) -> str | None:
    """One line for data of which a single class has nearly all samples; None for other data.

    Args:
        samples: number of samples by class.
        names: of the classes; None: they are called by their numbers.
    """
    found = majority(samples)
    if found is None:
        return None
    label = _named(found[0], names)
    return f"class {label} has {found[1]:.1%} of the training samples: accuracy hides the others; {_REMEDY}"


def result_warning(classes: Counts, new: Collection[int], names: Sequence[str] | None = None) -> str | None:
    """One line for a result that its accuracy hides, or None.

    Args:
        classes: (class, samples classified right, samples).
        new: classes of the newest experience: a recall of 0 of older ones is forgetting, which the metrics show.
        names: of the classes; None: they are called by their numbers.
    """
    found = majority({label: total for label, _, total in classes})
    each = recalls(classes)
    worst = min(each, key=lambda label: each[label], default=0)
    if found is not None:
        return (
            f"class {_named(found[0], names)} has {found[1]:.1%} of the test samples, and of class "
            f"{_named(worst, names)} {each[worst]:.1%} are classified right: accuracy hides that; {_REMEDY}"
        )
    zero = [label for label, right, total in classes if label in new and total >= ENOUGH and not right]
    if not zero:
        return None
    which = ("class " if len(zero) == 1 else "classes ") + ", ".join(_named(label, names) for label in zero[:5])
    return f"no test sample of {which} is classified right, and it was just learned: accuracy may hide that; {_REMEDY}"


def _named(label: int, names: Sequence[str] | None) -> str:
    return str(label) if names is None or label >= len(names) else names[label]

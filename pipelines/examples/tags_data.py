"""Questions to a help desk with their tags, made up: any number of tags each, and words that change from year to year.

A question is how often each of 60 words occurs in it. Each tag has words of its own, of which a third is replaced in
each year: the new version of a product is called by another name.
"""

from __future__ import annotations

import numpy as np

from pipelines import dataset

TAGS = ("billing", "login", "mobile", "outage", "feature-request")
WORDS = 60


@dataset
def load(years: int = 4, questions: int = 500, seed: int = 0) -> list[object]:
    """A list with (training set, test set) of each year: inputs (n, 60) float32, targets (n, 5) of 0 and 1.

    A fifth of the questions is for testing. Tags are rare, from 10 % to 30 % of the questions, and some have none.
    """
    random = np.random.default_rng(seed)
    words = np.stack([random.choice(WORDS, 6, replace=False) for _ in TAGS])
    found: list[object] = []
    for _ in range(years):
        found.append(_year(words, questions, random))
        words = words.copy()
        words[:, :2] = random.integers(0, WORDS, (len(TAGS), 2))
        words = np.roll(words, 2, axis=1)
    return found


def _year(words: np.ndarray, questions: int, random: np.random.Generator) -> tuple[object, object]:
    tags = random.uniform(size=(questions, len(TAGS))) < np.linspace(0.3, 0.1, len(TAGS))
    rates = np.full((questions, WORDS), 0.15)
    for tag, own in enumerate(words):
        rates[np.ix_(tags[:, tag], own)] += 0.9
    inputs, targets = random.poisson(rates).astype(np.float32), tags.astype(np.int64)
    test = questions // 5
    return (inputs[test:], targets[test:]), (inputs[:test], targets[:test])

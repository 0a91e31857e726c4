from typing import Any

import numpy as np

from pipelines.examples.tags_data import TAGS, WORDS, load


def test_questions_have_any_number_of_tags_and_are_the_same_in_every_run() -> None:
    years: Any = load(years=2)
    again: Any = load(years=2)
    assert all(np.array_equal(a, b) for a, b in zip(years[1][0], again[1][0], strict=True))
    (inputs, targets), (held_out, _) = years[0]
    assert inputs.shape == (400, WORDS) and targets.shape == (400, len(TAGS)) and len(held_out) == 100
    assert set(np.unique(targets.sum(1))) > {0, 1, 2}
    shares = targets.mean(0)
    assert 0.2 < shares[0] < 0.4 and 0.05 < shares[-1] < 0.2


def test_the_words_of_a_tag_change_from_year_to_year() -> None:
    years: Any = load(years=4, questions=2000)

    def words(year: int, tag: int) -> set[int]:
        (inputs, targets), _ = years[year]
        lift = inputs[targets[:, tag] == 1].mean(0) - inputs[targets[:, tag] == 0].mean(0)
        return set(np.argsort(lift)[-6:].tolist())

    kept = [len(words(0, tag) & words(3, tag)) for tag in range(len(TAGS))]
    assert max(kept) < 6 and len(words(0, 0) & words(1, 0)) >= 3

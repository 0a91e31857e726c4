"""Which test sets are used: enough to see forgetting, and so few that a long stream is not slowed down."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.load import load_text
from pipelines.config.sections.evaluate_section import EvaluateSpec, evaluated


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 300), st.integers(1, 40))
def test_the_window_is_always_used_and_no_more_than_as_many_of_the_others(
    window: int, every: int, index: int, further: int
) -> None:
    spec = EvaluateSpec(window=window, every=every)
    found = spec.experiences(index, index + further)
    assert found == sorted(set(found)) and found[0] >= 0 and found[-1] < index + further
    assert {*range(max(0, index - window + 1), min(index + 2, index + further))} <= {*found}
    assert len(found) <= 2 * window + 1
    past = [one for one in found if one <= index]
    assert past == spec.experiences(index, index + 1), "a stream that grows later changes no commit"


def test_the_evaluations_of_1000_experiences_grow_with_their_number_and_not_with_its_square() -> None:
    spec = EvaluateSpec(window=50, every=10)

    def total(length: int) -> int:
        return sum(len(evaluated(spec, index, length)) for index in range(length))

    assert total(1000) <= 1000 * (50 + 1 + 50 / 10)
    assert total(2000) - total(1000) == pytest.approx(total(3000) - total(2000), rel=0.02)
    assert sum(len(evaluated(None, index, 1000)) for index in range(1000)) == 1_000_000


def test_every_old_experience_is_looked_at_again() -> None:
    spec, length = EvaluateSpec(window=5, every=2), 120
    times = [[index for index in range(length) if old in spec.experiences(index, length)] for old in range(60)]
    # In turn: as many turns as there are windows in the past, each after two experiences.
    assert all(max(b - a for a, b in pairwise(one)) <= 2 * 2 * length / 5 for one in times)


def test_a_stream_of_files_that_arrive_may_have_one() -> None:
    source = "{path: ./in, format: parquet, label: y, classes: 2}"
    text = f"name: s\nstream: {{source: {source}}}\nmodel: mlp\nevaluate: {{window: 5}}\n"
    assert load_text(text).evaluate == EvaluateSpec(window=5)

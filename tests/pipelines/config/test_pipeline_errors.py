import pickle

import pytest

from pipelines.config.pipeline_errors import DataError, PipelineError


def test_problems_are_joined_by_newlines() -> None:
    error = PipelineError(["one", "two"])
    assert error.problems == ["one", "two"]
    assert str(error) == "one\ntwo"


def test_one_problem_may_be_given_as_text() -> None:
    assert PipelineError("one").problems == ["one"]


@pytest.mark.parametrize("kind", [PipelineError, DataError])
def test_survives_the_way_from_a_worker(kind: type[PipelineError]) -> None:
    copy = pickle.loads(pickle.dumps(kind(["one", "two"])))
    assert type(copy) is kind and copy.problems == ["one", "two"]

"""The `scaling` section."""

import pytest
from pydantic import ValidationError

from pipelines.config.sections.scaling_section import ScalingSpec


def test_workers_are_a_number_or_a_range() -> None:
    assert (ScalingSpec(workers=3).minimum, ScalingSpec(workers=3).maximum) == (3, 3)
    elastic = ScalingSpec.model_validate({"workers": [1, 4]})
    assert (elastic.minimum, elastic.maximum) == (1, 4)
    assert elastic.to_document()["workers"] == (1, 4) or elastic.to_document()["workers"] == [1, 4]


@pytest.mark.parametrize("wrong", [0, [2, 1], [1, 2, 3], "2", True])
def test_other_numbers_of_workers_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        ScalingSpec.model_validate({"workers": wrong})


def test_workers_do_not_share_a_gpu_and_do_not_take_two() -> None:
    assert ScalingSpec(resources={"GPU": 0.5}).maximum == 1
    for resources, workers in (({"GPU": 2.0}, 1), ({"GPU": 0.5}, 2)):
        with pytest.raises(ValidationError, match="GPU"):
            ScalingSpec(workers=workers, resources=resources)

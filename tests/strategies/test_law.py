"""The law of the global batch: 1, 2 and 4 ranks learn the same, whatever the strategy, the setting and the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest
import torch

from tests.processes import Processes, WorkerError
from tests.strategies.cases import COLUMNS, COMBINED, REGISTERED, Case, Outcome, learn, learn_all

# What goes wrong with two ranks goes wrong with four; the reverse is not so. Two are tried in one setting.
RUNS = [(case, 2) for case in REGISTERED if case.setting == "class-incremental"] + [
    (case, 4) for case in REGISTERED + COMBINED + COLUMNS
]
# In double precision. The loss is computed in single precision, where a last bit may fall the other way.
TOLERANCE = {"rtol": 1e-6, "atol": 1e-7}
SINGLE = {"rtol": 1e-3, "atol": 1e-4}

Result = tuple[Outcome, set[str]] | WorkerError
Results = Callable[[int], dict[Case, Result]]


def results_of(processes: Processes, cases: Sequence[Case]) -> list[Result]:
    """Rank 0's outcome of each case with the digests of all ranks; case by case when one of them fails."""
    try:
        ranks = processes.run(learn_all, cases)
    except WorkerError as error:
        return [error] if len(cases) == 1 else [r for case in cases for r in results_of(processes, [case])]
    return [(first[0], {digest for _, digest in all_ranks}) for first, *all_ranks in zip(ranks[0], *ranks, strict=True)]


learn_alone = cache(learn)


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, processes: Callable[[int], Processes]) -> Results:
    """From a number of ranks to the results of all selected cases: handing over one at a time would be slow."""
    wanted = {
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    }

    @cache
    def get(ranks: int) -> dict[Case, Result]:
        cases = [case for case, number in RUNS if case in wanted and number == ranks]
        return dict(zip(cases, results_of(processes(ranks), cases), strict=True))

    return get


@pytest.mark.parametrize(("case", "ranks"), RUNS, ids=str)
def test_any_number_of_ranks_learns_the_same(case: Case, ranks: int, results: Results) -> None:
    alone = learn_alone(case)
    result = results(ranks)[case]
    if isinstance(result, WorkerError):
        raise result
    together, digests = result
    assert len(digests) == 1, "the ranks differ from each other"
    assert together.refusal == alone.refusal
    assert together.counts == alone.counts
    tolerance = SINGLE if case.model.endswith("float32") else TOLERANCE
    torch.testing.assert_close(together.state, alone.state, **tolerance)
    assert together.memories.keys() == alone.memories.keys()
    for name, expected in alone.memories.items():
        if name.rpartition(":")[2] in ("ids", "inputs", "targets", "experiences"):
            assert torch.equal(together.memories[name], expected), name
        else:
            torch.testing.assert_close(together.memories[name], expected, **tolerance)


def test_every_option_of_the_cases_has_an_effect() -> None:
    cases = [case for case in COMBINED if case.setting == "class-incremental" and case.model == "mlp"]
    assert len({learn(case).digest for case in cases}) == len(cases)

import pytest

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError

TEXT = """\
name: x
stream: {dataset: digits, experiences: 5}
model: {name: mlp, hidden: [10]}
strategy: [{name: ewc, lambda: 10}, replay]
train: {epochs: 2}
tune:
  space:
"""


def problems(*space: str) -> list[str]:
    try:
        load_text(TEXT + "".join(f"    {entry}\n" for entry in space), "x.yaml")
    except PipelineError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    "entry",
    [
        "strategy.ewc.lambda: {loguniform: [1e-3, 1e6]}",
        "strategy.replay.ratio: {uniform: [0.05, 0.5]}",
        "strategy.replay.capacity: {quniform: [100, 1000, 100]}",
        "train.batch_size: {randint: [1, 100]}",
        "train.steps: {choice: [10, 20]}",
        "train.optimizer.lr: {loguniform: [1e-5, 1e-1]}",
        "train.per_experience.2.strategy.ewc.lambda: {uniform: [0, 1]}",
        "model: {choice: [cnn, {name: mlp, hidden: [3]}]}",
        "model.hidden: {grid: [[10], [10, 10]]}",
        "strategy: {choice: [naive, [ewc, {name: replay, ratio: 0.3}]]}",
        "seed: {randint: [0, 10]}",
    ],
)
def test_what_can_be_searched(entry: str) -> None:
    assert problems(entry) == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("strategy.ewc.lambda: {uniform: [-1, 1]}", "strategy.ewc.lambda.uniform.0: must be at least 0, got -1"),
        ("strategy.replay.ratio: {uniform: [0.1, 2]}", "strategy.replay.ratio.uniform.1: must be "),
        ("strategy.ewc.lamda: {uniform: [0, 1]}", "strategy.ewc.lamda.uniform.0: unknown key, did you mean 'lambda'?"),
        ("strategy.si.c: {uniform: [0, 1]}", "strategy.si.c: the pipeline has no strategy 'si', it has: ewc, replay"),
        ("train.optimzer.lr: {choice: [1]}", "train.optimzer.lr.choice.0: train.optimzer: unknown key, did you mean"),
        (
            "train.batch_size: {uniform: [1, 9]}",
            "train.batch_size.uniform: values between the bounds are refused: must be",
        ),
        ("train.batch_size: {randint: [0, 9]}", "train.batch_size.randint.0: must be at least 1, got 0"),
        ("train.batch_size: {quniform: [1, 9, 0.5]}", "train.batch_size.quniform.2: must be a whole number, got 1.5"),
        ("model: {choice: [mlp, mpl]}", "model.choice.1: model.name: unknown model 'mpl', did you mean 'mlp'?"),
        ("model.hidden.3: {choice: [1]}", "model.hidden.3: model.hidden is a list of 1 entries, it has no '3'"),
        ("model.name.x: {choice: [1]}", "model.name.x: model.name is 'mlp', there is nothing to set below it"),
        ("storage: {choice: [a]}", "storage: storage does not influence what is learned"),
        ("tune.trials: {choice: [1]}", "tune.trials: tune does not influence what is learned"),
        ("..: {choice: [1]}", "..: '..' is not a path of keys"),
    ],
)
def test_what_cannot_be_searched(entry: str, expected: str) -> None:
    (problem,) = problems("seed: {choice: [1]}", entry)
    assert problem.startswith(f"x.yaml:9: tune.space.{expected}")


def test_every_wrong_choice_is_shown() -> None:
    assert len(problems("seed: {choice: [-1, 0, x]}")) == 2


def test_problems_elsewhere_are_shown_once() -> None:
    text = TEXT.replace("epochs: 2", "epochs: 0") + "    strategy.ewc.lambda: {uniform: [-1, 1]}\n"
    with pytest.raises(PipelineError) as error:
        load_text(text, "x.yaml")
    assert [problem.split(": ")[1] for problem in error.value.problems] == [
        "train.epochs",
        "tune.space.strategy.ewc.lambda.uniform.0",
    ]

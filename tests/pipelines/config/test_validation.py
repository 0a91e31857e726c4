from pipelines.config.document import Document, Problem, parse
from pipelines.config.shorthand import write_out
from pipelines.config.validation import add, pipeline_of
from tests.pipelines.documents import OWN

TEXT = f"""\
name: x
stream: {{dataset: digits, experiences: 3}}
model: mlp
strategy: [{{name: '{OWN}:Hold', lambda: 2}}]
train:
  optimizer: {{name: sgd, momentum: 0.9}}
  scheduler: {{name: StepLR, step_size: 2}}
  per_experience:
    1: OVERRIDE
"""


def problems(override: str) -> list[tuple[str, str]]:
    document = parse(TEXT.replace("OVERRIDE", override), "x.yaml")
    write_out(document)
    assert (pipeline_of(document) is None) == bool(document.problems)
    return [(".".join(map(str, problem.path)), problem.text) for problem in document.problems]


def test_overrides_that_fit() -> None:
    for good in (
        "{}",
        "{optimizer: {lr: 1e-3}}",
        "{optimizer: {nesterov: true}}",
        "{optimizer: {name: adam, eps: 0.1}}",
        "{optimizer: adam}",
        "{scheduler: null, epochs: 2}",
        "{scheduler: {gamma: 0.5}}",
        "{scheduler: CosineAnnealingLR}",
        f"{{strategy: {{'{OWN}:Hold': {{lambda: 3, samples: 4.0}}}}}}",
        "{strategy: {}}",
    ):
        assert problems(good) == []


def test_overrides_that_do_not_fit_with_what_they_override() -> None:
    place = "train.per_experience.1"
    assert problems("{optimizer: {eps: 1}}")[0][0] == f"{place}.optimizer.eps"
    assert problems("{optimizer: {momentum: 0, nesterov: true}}")[0] == (
        f"{place}.optimizer.nesterov",
        "needs a momentum above 0 and no dampening",
    )
    assert problems("{scheduler: MultiStepLR}") == [(f"{place}.scheduler.milestones", "is required")]
    assert problems(f"{{strategy: {{'{OWN}:Hold': {{lambda: -3}}}}}}") == [
        (f"{place}.strategy.{OWN}:Hold.lambda", "must be at least 0, got -3")
    ]
    assert problems("{strategy: [1]}")[0][0] == f"{place}.strategy"
    assert problems(f"{{strategy: {{'{OWN}:Hold': 3}}}}")[0][0] == f"{place}.strategy.{OWN}:Hold"


def test_what_is_wrong_in_general_is_said_once() -> None:
    text = TEXT.replace("momentum: 0.9", "momentum: -1").replace("OVERRIDE", "{optimizer: {lr: 0.5}}")
    document = parse(text, "x.yaml")
    write_out(document)
    assert pipeline_of(document) is None
    assert [problem.path for problem in document.problems] == [("train", "optimizer", "momentum")]


def test_one_problem_a_path() -> None:
    document = Document("x.yaml", problems=[Problem(("a", "b"), "first")])
    add(document, [Problem(("b",), "second"), Problem(("c",), "third")], at=("a",))
    assert [problem.message for problem in document.problems] == ["first", "third"]


def test_strategies_get_their_defaults() -> None:
    document = parse(TEXT.replace("OVERRIDE", "{}"), "x.yaml")
    write_out(document)
    pipeline_of(document)
    assert document.get(("strategy", 0)) == {"name": f"{OWN}:Hold", "lambda": 2.0, "samples": 10, "layers": []}

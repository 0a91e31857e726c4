from pipelines.config.document import parse
from pipelines.config.shorthand import write_out


def written_out(text: str) -> object:
    document = parse(text, "f.yaml")
    write_out(document)
    return document.data


def test_names_alone() -> None:
    assert written_out(
        "stream: {dataset: digits, transform: rotate}\nmodel: mlp\ntrain: {optimizer: sgd, scheduler: StepLR}"
    ) == {
        "stream": {"dataset": {"name": "digits"}, "transform": {"name": "rotate"}},
        "model": {"name": "mlp"},
        "train": {"optimizer": {"name": "sgd"}, "scheduler": {"name": "StepLR"}},
    }
    assert written_out("train: {per_experience: {2: {optimizer: sgd}}}") == {
        "train": {"per_experience": {"2": {"optimizer": {"name": "sgd"}}}}
    }


def test_one_strategy_is_a_list_of_one() -> None:
    assert written_out("strategy: ewc") == {"strategy": [{"name": "ewc"}]}
    assert written_out("strategy: {name: ewc, lambda: 3}") == {"strategy": [{"name": "ewc", "lambda": 3}]}
    assert written_out("strategy: [ewc, {name: replay}]") == {"strategy": [{"name": "ewc"}, {"name": "replay"}]}


def test_lines_move_along() -> None:
    document = parse("strategy:\n  name: ewc\n  lambda: 3\n", "f.yaml")
    write_out(document)
    assert document.origins["strategy", 0, "lambda"] == 3


def test_empty_sections_are_left_out() -> None:
    assert written_out("train:\nscaling:\ntracking:\nname: x") == {"name": "x"}


def test_other_shapes_are_left_for_the_schema() -> None:
    for text in ("[1]", "x", "stream: [1]\nmodel: 3\nstrategy: 3\ntrain: 3", "train: {per_experience: [1]}", ""):
        before = parse(text, "f.yaml").data
        assert written_out(text) == before

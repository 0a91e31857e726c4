import pytest

from pipelines.config.document import parse
from pipelines.config.overrides import address, apply
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.shorthand import write_out

TEXT = """\
seed: 0
model: mlp
strategy: [{name: ewc, lambda: 1}, {name: "my.pkg:Own", hidden: [1, 2]}, replay]
train: {epochs: 3}
"""


def changed(*options: str) -> dict[str, object]:
    document = parse(TEXT, "f.yaml")
    write_out(document)
    apply(document, options)
    assert not document.problems
    data = document.data
    assert isinstance(data, dict)
    return data


def refused(*options: str) -> list[str]:
    with pytest.raises(PipelineError) as error:
        changed(*options)
    return error.value.problems


def test_values_are_yaml() -> None:
    data = changed("seed=3", "a.b=[1, x]", "c={d: true}", "e=", "f= text ", "g=x=y")
    assert data["seed"] == 3
    assert data["a"] == {"b": [1, "x"]}
    assert data["c"] == {"d": True}
    assert data["e"] is None
    assert data["f"] == "text"
    assert data["g"] == "x=y"


def test_a_strategy_is_addressed_by_name() -> None:
    options = ("strategy.ewc.lambda=7", "strategy.my.pkg:Own.hidden.1=5", "strategy.replay.ratio=0.5", "strategy.0.x=1")
    assert changed(*options)["strategy"] == [
        {"name": "ewc", "lambda": 7, "x": 1},
        {"name": "my.pkg:Own", "hidden": [1, 5]},
        {"name": "replay", "ratio": 0.5},
    ]


def test_options_of_a_strategy_in_one_experience() -> None:
    document = parse(TEXT, "f.yaml")
    assert address(document, "train.per_experience.2.strategy.my.pkg:Own.hidden.0") == (
        "train", "per_experience", "2", "strategy", "my.pkg:Own", "hidden", "0",
    )  # fmt: skip


def test_a_name_alone_is_written_out_first() -> None:
    assert changed("model.hidden=[3]")["model"] == {"name": "mlp", "hidden": [3]}
    assert changed("model=cnn", "model.x=1")["model"] == {"name": "cnn", "x": 1}
    assert changed("strategy=ewc", "strategy.ewc.lambda=2")["strategy"] == [{"name": "ewc", "lambda": 2}]


def test_steps_replace_epochs_of_the_file() -> None:
    assert changed("train.steps=5")["train"] == {"steps": 5}
    assert changed("train.epochs=5")["train"] == {"epochs": 5}
    assert changed("train.steps=5", "train.epochs=2")["train"] == {"steps": 5, "epochs": 2}
    assert changed("train.steps=")["train"] == {"steps": None, "epochs": 3}


def test_an_item_of_a_list_is_set_by_its_position() -> None:
    assert changed("train=[1, 2]", "train.0=5")["train"] == [5, 2]


def test_paths_of_the_search_space_are_keys() -> None:
    data = changed("tune.space.strategy.ewc.lambda={uniform: [0, 1]}", "tune.space.train.batch_size.choice=[1, 2]")
    assert data["tune"] == {
        "space": {"strategy.ewc.lambda": {"uniform": [0, 1]}, "train.batch_size": {"choice": [1, 2]}}
    }


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("seed", "--set seed: must have the form KEY=VALUE"),
        ("=3", "--set =3: must have the form KEY=VALUE"),
        ("a..b=3", "--set a..b=3: 'a..b' is not a path of keys joined by dots"),
        ("seed.x=3", "--set seed.x=3: seed is 0, there is nothing to set below it"),
        (
            "strategy.si.c=3",
            "--set strategy.si.c=3: the pipeline has no strategy 'si', it has: ewc, my.pkg:Own, replay",
        ),
        ("strategy.9.c=3", "--set strategy.9.c=3: the pipeline has no strategy '9'"),
        ("strategy.my.pkg:Own.hidden.7=3", "strategy.1.hidden is a list of 2 entries, it has no '7'"),
        ("seed=[", "--set seed=[: not valid YAML: while parsing a flow node"),
        ("seed=" + "[" * 100, "nested deeper than 32 levels"),
        (".".join("a" * 5000) + "=1", "is not a path of keys joined by dots"),
        ("seed\n=[", "--set seed\\n=[: not valid YAML"),
    ],
)
def test_what_cannot_be_set(option: str, message: str) -> None:
    (problem,) = refused(option)
    assert message in problem
    assert "\n" not in problem


def test_all_wrong_options_are_shown() -> None:
    assert len(refused("seed", "x=[", "strategy.si.c=1")) == 3


def test_passwords_in_options_are_not_shown() -> None:
    for problem in refused("tracking.uri.=https://me:pw secret@host", "a=['https://me:pw secret@host'"):
        assert "pw" not in problem and "secret" not in problem


def test_a_pipeline_that_is_no_mapping_has_nothing_to_set() -> None:
    document = parse("[1]", "f.yaml")
    with pytest.raises(PipelineError, match="holds no keys"):
        apply(document, ["seed=1"])

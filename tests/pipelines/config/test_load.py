import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.config.load import load_pipeline, load_text, with_settings
from pipelines.config.pipeline_errors import PipelineError
from tests.pipelines.documents import OWN, pipelines

GOOD = """\
name: split-digits
stream:
  dataset: digits
  experiences: 5
model: {name: mlp, hidden: [10]}
strategy:
  - {name: ewc, lambda: 10}
  - {name: replay, capacity: 100}
train:
  epochs: 2
  batch_size: 64
  optimizer: {name: adam, lr: 0.001}
  per_experience:
    3: {optimizer: {lr: 0.0001}, strategy: {ewc: {lambda: 1}}}
scaling: {workers: [1, 2]}
storage: ${EVERLEARN_STORAGE:-store}
tracking: {uri: "https://me:secret@host"}
tune:
  space:
    strategy.ewc.lambda: {loguniform: [1, 1e5]}
"""


def refused(text: str, *overrides: str) -> list[str]:
    with pytest.raises(PipelineError) as error:
        load_text(text, "x.yaml", overrides)
    assert all(line.isprintable() and "secret" not in line for line in error.value.problems)
    return error.value.problems


def test_a_good_file() -> None:
    pipeline = load_text(GOOD)
    assert pipeline.train.at(3).optimizer.lr == 0.0001
    assert pipeline.tune is not None and pipeline.tune.space["strategy.ewc.lambda"].values == [1, 100000.0]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("lambda: 10}", "lambda: -3}", "7: strategy.0.lambda: must be at least 0, got -3"),
        ("lambda: 10}", "lamda: 10}", "7: strategy.0.lamda: unknown key, did you mean 'lambda'?"),
        ("name: ewc", "name: ewcc", "7: strategy.0.name: unknown strategy 'ewcc', did you mean 'ewc'? Known: "),
        ("name: replay", "name: ewc", "8: strategy.1.name: 'ewc' is listed twice"),
        ("name: replay", "name: tests:No", "8: strategy.1.name: tests has no 'No'"),
        ("{name: ewc, lambda: 10}", "{lambda: 10}", "7: strategy.0.name: is required"),
        ("epochs: 2", "epoch: 2", "10: train.epoch: unknown key, did you mean 'epochs'?"),
        ("epochs: 2", "epochs: two", "10: train.epochs: must be a whole number, got 'two'"),
        ("epochs: 2", "epochs: true", "10: train.epochs: must be a whole number, got true"),
        ("epochs: 2", "epochs: 2\n  steps: 5", "11: train.steps: give epochs or steps, not both"),
        ("epochs: 2", "epochs: 2\n  epochs: 3", "11: train.epochs: given twice, first on line 10"),
        ("batch_size: 64", "batch_size: 1", "11: train.batch_size: must be at least the number of workers, which is 2"),
        ("lr: 0.001", "lr: 0", "12: train.optimizer.lr: must be above 0, got 0"),
        ("lr: 0.001", "lr: .inf", "12: train.optimizer.lr: must be a finite number, got inf"),
        ("lr: 0.001", "learning: 1", "12: train.optimizer.learning: unknown key; known here: name, lr, reset"),
        ("name: adam", "name: adm", "12: train.optimizer.name: unknown optimizer 'adm', did you mean 'adam'?"),
        ("lr: 0.001}", "lr: 1, nesterov: true, name: sgd}", "12: train.optimizer.name: given twice, first on line 12"),
        ("lr: 0.0001", "lr: -1", "14: train.per_experience.3.optimizer.lr: must be above 0, got -1"),
        ("lambda: 1}", "lambda: -1}", "14: train.per_experience.3.strategy.ewc.lambda: must be at least 0, got -1"),
        ("{ewc: {lambda: 1}}", "{si: {}}", "14: train.per_experience.3.strategy.si: the pipeline has no such strategy"),
        ("3: {", "5: {", "14: train.per_experience.5: there is no such experience: the stream has 5, numbered 0 to 4"),
        ("3: {", "3: {epochs: 0, ", "14: train.per_experience.3.epochs: must be at least 1, got 0"),
        (
            "dataset: digits",
            "dataset: digts",
            "3: stream.dataset.name: unknown dataset 'digts', did you mean 'digits'?",
        ),
        ("dataset: digits", "dataset: {name: digits, fold: 1}", "3: stream.dataset.fold: unknown key; there are none"),
        ("dataset: digits", "dataset: a.b:c", "3: stream.dataset.name: cannot import a.b: No module named 'a'"),
        ("dataset: digits", "dataset: {name: mnist, padding: -1}", "3: stream.dataset.padding: must be at least 0"),
        ("experiences: 5", "transform: permute", "2: stream.experiences: is required with a transform"),
        ("experiences: 5", "experiences: 5\n  blurry: 1", "5: stream.blurry: must be below 1, got 1"),
        ("experiences: 5", "experiences: 1\n  blurry: 0.1", "5: stream.blurry: needs other experiences"),
        ("experiences: 5", "order: [[0], [1, 0]]", "4: stream.order: names class 0 more than once"),
        ("hidden: [10]", "hiden: [10]", "5: model.hiden: unknown key, did you mean 'hidden'?"),
        ("model: {name: mlp, hidden: [10]}", f"model: {OWN}:Net", "5: model.width: is required"),
        ("model: {name: mlp, hidden: [10]}\n", "", "1: model: is required"),
        ("name: split-digits", "name: Split Digits", "1: name: must match ^[a-z0-9][a-z0-9._-]*$, got 'Split Digits'"),
        ("name: split-digits", "name: 2024", "1: name: must be text (put it in quotes), got 2024"),
        ("name: split-digits", "name: ${HOME}", "1: name: environment variables are read in storage and tracking only"),
        (
            "${EVERLEARN_STORAGE:-store}",
            "${EVERLEARN_NO}",
            "16: storage: the environment variable EVERLEARN_NO is not set",
        ),
        ("${EVERLEARN_STORAGE:-store}", "gs://x", "16: storage: must be a folder or s3://bucket/prefix, not gs://"),
        ("${EVERLEARN_STORAGE:-store}", "s3:///x", "16: storage: must name a bucket: s3://bucket/prefix"),
        ("${EVERLEARN_STORAGE:-store}", "''", "16: storage: must not be empty, got ''"),
        ('tracking: {uri: "', 'tracking: {url: "', "17: tracking.url: unknown key, did you mean 'uri'?"),
        (
            "strategy.ewc.lambda: ",
            "strategy.ewc.lamda: ",
            "20: tune.space.strategy.ewc.lamda.loguniform.0: unknown key",
        ),
        ("[1, 2]", "[2, 1]", "15: scaling.workers: must be a whole number of at least 1, or [min, max]"),
    ],
)
def test_a_wrong_file_says_where_and_what_would_be_right(before: str, after: str, expected: str) -> None:
    assert before in GOOD
    assert any(problem.startswith(f"x.yaml:{expected}") for problem in refused(GOOD.replace(before, after, 1)))


def test_all_errors_in_one_go_in_the_order_of_the_file() -> None:
    text = GOOD.replace("lambda: 10}", "lambda: -3}").replace("epochs: 2", "epochs: 0").replace("mlp", "mpl")
    assert [problem.partition(": ")[0] for problem in refused(text, "seed=-1")] == [
        "x.yaml:5",
        "x.yaml:7",
        "x.yaml:10",
        "--set seed=-1",
    ]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("train.epoch=2", "--set train.epoch=2: unknown key, did you mean 'epochs'?"),
        ("train.epochs=-2", "--set train.epochs=-2: must be at least 1, got -2"),
        ("strategy.ewc.lambda=-3", "--set strategy.ewc.lambda=-3: must be at least 0, got -3"),
        ("scaling={workers: 0}", "--set scaling={workers: 0}: scaling.workers: must be a whole number of at least 1"),
        ("tracking.uri=https://me:secret@${X", "--set tracking.uri=https://***@${X: '${' must begin ${NAME}"),
        ("storage=https://me:sec ret/secret@h", "--set storage=https://***@h: must be a folder or s3://"),
        ("tracking.experiment=[https://me:secret@h]", "--set tracking.experiment=***@h]: must be text"),
    ],
)
def test_errors_of_options_name_the_option(option: str, expected: str) -> None:
    (problem,) = refused(GOOD, option)
    assert problem.startswith(expected)


def test_short_forms_and_numbers_as_people_write_them() -> None:
    overrides = ("strategy.replay.capacity=1e3", "strategy.ewc.estimate=true", "train.optimizer.lr=1e-4", "model=mlp")
    pipeline = load_text(GOOD, overrides=overrides)
    assert pipeline.strategy[1].extras["capacity"] == 1000
    assert pipeline.strategy[0].extras["estimate"] == "true"
    assert pipeline.train.optimizer.lr == 1e-4
    assert pipeline.model.options == {}


@pytest.mark.parametrize("text", ["", "# nothing", "null", "[1]", "x", "3"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    (problem,) = refused(text)
    assert problem.startswith("x.yaml:1: ") and ("is empty" in problem or "must be a mapping" in problem)


def test_a_mistake_in_the_users_options_class_is_reported_in_one_line() -> None:
    text = GOOD.replace("{name: replay, capacity: 100}", f"{{name: '{OWN}:Broken'}}")
    assert refused(text) == [
        f"x.yaml:8: strategy.1: the options of {OWN}:Broken cannot be checked: "
        'KeyError: "a mistake in the user\'s code"'
    ]


def test_options_that_check_each_other() -> None:
    text = GOOD.replace("{name: replay, capacity: 100}", f"{{name: '{OWN}:Checked', low: 3}}")
    (problem,) = refused(text)
    assert problem.startswith("x.yaml:8: strategy.1: low must not be above high")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("\ufeff" + GOOD)
    assert load_pipeline(path, ["seed=3"]).seed == 3
    for content, message in ((b"a: \xff", ":1: not UTF-8 text"), (b"x" * (1 << 20) + b"x", ": larger than 1024 KiB")):
        path.write_bytes(content)
        with pytest.raises(PipelineError, match=message):
            load_pipeline(path)
    for wrong, message in (
        (tmp_path / "no.yaml", "there is no such file"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(PipelineError, match=message):
            load_pipeline(wrong)
    with pytest.raises(PipelineError, match="cannot be read"):
        load_pipeline("a\0b")


def test_settings_of_a_trial() -> None:
    pipeline = load_text(GOOD)
    changed = with_settings(pipeline, {"strategy.ewc.lambda": 3, "train.steps": 7, "strategy.replay.capacity": 200.0})
    assert changed.strategy[0].extras["lambda"] == 3
    assert (changed.train.epochs, changed.train.steps) == (None, 7)
    assert changed.strategy[1].extras["capacity"] == 200
    assert changed.tune is None
    assert pipeline == load_text(GOOD)
    replaced = with_settings(pipeline, {"strategy.replay.capacity": 5, "strategy": ["replay", "ewc"], "model": "cnn"})
    assert [spec.name for spec in replaced.strategy] == ["replay", "ewc"]
    assert replaced.strategy[0].extras["capacity"] == 5
    for wrong in ({"strategy.ewc.lambda": -3}, {"train.epoch": 1}, {"strategy.si.c": 1}, {"seed.x": 1}):
        with pytest.raises(PipelineError):
            with_settings(pipeline, wrong)


junk = st.sampled_from(
    [
        "",
        "-1",
        "null",
        "[]",
        "{}",
        "x",
        "1e999",
        "${X}",
        "*a",
        "&a",
        "!!x",
        "'",
        '"\\x',
        "\x00",
        "\n",
        "\t",
        "- ",
        ": ",
        "é",
        "<<: ",
    ]
) | st.text(max_size=5)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), junk), min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(damages: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for start, length, inserted in damages:
        text = text[:start] + inserted + text[start + length :]
    try:
        load_text(text, "x.yaml")
    except PipelineError as error:
        assert error.problems
        assert all(line.startswith("x.yaml:") and line.isprintable() for line in error.problems)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["ewc", "os:path"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines(), st.data())
def test_a_valid_document_with_anything_anywhere_is_read_or_refused(
    document: dict[str, Any], data: st.DataObject
) -> None:
    target: Any = document
    while True:
        keys = list(target) if isinstance(target, dict) else list(range(len(target)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(target[key], (dict, list)) and target[key] and data.draw(st.booleans()):
            target = target[key]
            continue
        target[key] = data.draw(anything)
        break
    try:
        load_text(yaml.safe_dump(document), "x.yaml")
    except PipelineError as error:
        assert error.problems and all(line.isprintable() for line in error.problems)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["train", "train.per_experience.2", "strategy", "strategy.ewc", "tune.space", "model", "stream", ""]
            ),
            st.text(max_size=6) | st.sampled_from(["optimizer", "strategy.ewc", "name", "0", "per_experience"]),
            st.text(max_size=10) | anything.map(str),
        ),
        max_size=3,
    )
)
def test_any_options_are_taken_or_refused(options: list[tuple[str, str, str]]) -> None:
    try:
        load_text(GOOD, "x.yaml", [f"{above}.{key}={value}" for above, key, value in options])
    except PipelineError as error:
        assert error.problems and all(line.isprintable() for line in error.problems)


def test_importing_the_loader_is_light() -> None:
    code = "import sys, pipelines.config.load; sys.exit(bool({'torch', 'numpy', 'ray', 'mlflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


BESIDE = "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self, input_shape, outputs):\n        ...\n"


def test_own_modules_beside_the_file_resolve_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of two folders do not get each other's module either."""
    text = "name: x\nstream: {{dataset: digits, setting: class-incremental, experiences: 2}}\nmodel: {}:Net\n"
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_the_file.py").write_text(BESIDE)
        (tmp_path / folder / "p.yaml").write_text(text.format("beside_the_file"))
    with pytest.raises(PipelineError, match="cannot import beside_the_file"):
        load_text(text.format("beside_the_file"))
    assert load_pipeline("one/p.yaml").model.name == "beside_the_file:Net"
    with pytest.raises(PipelineError, match=r"one/beside_the_file\.py, and hides .*two/beside_the_file\.py: rename"):
        load_pipeline("two/p.yaml")

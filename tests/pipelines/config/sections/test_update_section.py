"""The `update` section."""

import pytest
import yaml

from pipelines.config.load import load_text, with_settings
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.update_section import UpdateSpec, WhenSpec

BARE = """\
name: small
stream: {source: {path: in, format: npz}}
model: mlp
strategy: [{name: replay, capacity: 20}, {name: ewc}]
"""
TUNED = (
    BARE + 'tune: {space: {"train.optimizer.lr": {loguniform: [0.001, 0.1]}, "strategy.ewc.lambda": {choice: [1]}}}\n'
)


def test_it_is_written_and_read_back() -> None:
    section = "{when: drift, cooldown: 2h, retune: {on: errors, trials: 3}, budget: {worker_hours: 4, per: 1d}}"
    text = f"{TUNED}update: {section}\n"
    pipeline = load_text(text)
    update = pipeline.update
    assert update is not None and update.when == "drift" and update.retune is not None and update.retune.trials == 3
    assert load_text(yaml.safe_dump(pipeline.to_document())) == pipeline
    assert load_text(BARE + "update: {}\n").update == UpdateSpec()
    assert load_text(BARE + "update: {when: {rows: 500}}\n").update == UpdateSpec(when=WhenSpec(rows=500))
    # Without the section that says what to search there is no search; the rest stays.
    assert with_settings(pipeline, {}).update == update.model_copy(update={"retune": None})
    assert load_text(BARE).flat() == load_text(BARE + "update: {when: drift}\n").flat()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("update: {when: sometimes}", "update.when: must be any, drift, {rows: 10000} or {every: 1d}"),
        ("update: {when: {rows: 10, every: 1d}}", "must be any, drift, {rows: 10000} or {every: 1d}"),
        ("update: {when: {rows: 0}}", "rows must be a whole number of at least 1"),
        ("update: {when: {every: soon}}", "must be a duration such as 30s"),
        ("update: {cooldown: 0.5}", "update.cooldown: must be a duration"),
        ("update: {budget: {worker_hours: 0}}", "update.budget.worker_hours"),
        ("update: {budget: {worker_hours: 1, per: 0s}}", "must be longer than 0"),
        ("update: {retune: {}}", "update.retune: needs a section tune"),
    ],
)
def test_refused(line: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        load_text(f"{BARE}{line}\n")
    assert message in str(caught.value)
    assert ":5" in str(caught.value)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ('"model.hidden": {choice: [[4]]}', "only settings of train and strategy can change"),
        ('"strategy.gdumb.policy": {choice: [uniform]}', "policy"),
    ],
)
def test_what_cannot_change_in_the_middle_of_a_stream_is_not_searched_there(space: str, message: str) -> None:
    text = BARE.replace("{name: ewc}", "{name: gdumb, capacity: 9}").replace("{name: replay, capacity: 20}, ", "")
    text += f"tune: {{space: {{{space}}}}}\n"
    load_text(text)  # `everlearn tune` trains from the first experience on
    with pytest.raises(PipelineError) as caught:
        load_text(text + "update: {retune: {}}\n")
    assert message in str(caught.value)


def test_a_stream_in_which_nothing_arrives_has_none() -> None:
    with pytest.raises(PipelineError, match="is for files that arrive"):
        load_text("name: small\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\nupdate: {}\n")

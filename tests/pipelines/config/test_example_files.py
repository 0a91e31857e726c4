from pathlib import Path

import pytest

from pipelines.config.example_files import Example, examples, find_example, write_example
from pipelines.config.load import load_pipeline
from pipelines.config.pipeline_errors import PipelineError


def test_every_example_says_what_it_shows_and_loads_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # modules are beside the file
    found = examples()
    assert {"split-digits", "split-mnist", "split-mnist-class-er"} <= {one.name for one in found}
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert len(one.summary) > 20 and not one.summary.startswith("#"), one.name
        file, *_ = write_example(one, tmp_path)
        pipeline = load_pipeline(file)
        assert pipeline.stream.dataset.name == one.dataset and (pipeline.tune is not None) == one.tunes


def test_modules_beside_an_example_that_it_names_are_written_with_it(tmp_path: Path) -> None:
    installed, here = tmp_path / "installed", tmp_path / "here"
    installed.mkdir()
    here.mkdir()
    text = "# Data of one's own.\nstream: {dataset: {name: own_rows:load}}\nmodel: {name: other.package:Net}\n"
    (installed / "own.yaml").write_text(text)
    (installed / "own_rows.py").write_text("def load(): ...\n")
    (installed / "unrelated.py").write_text("")
    (own,) = examples(installed)
    assert own == Example("own", installed / "own.yaml", published=False) and own.dataset == "own_rows:load"
    assert [file.name for file in write_example(own, here)] == ["own.yaml", "own_rows.py"]
    assert (here / "own.yaml").read_text() == text
    # Another example may need the same module.
    (installed / "second.yaml").write_text(text)
    second = find_example("second", installed)
    assert [file.name for file in write_example(second, here)] == ["second.yaml", "own_rows.py"]
    (here / "second.yaml").unlink()
    (here / "own_rows.py").write_text("mine")
    with pytest.raises(PipelineError, match=r"^own_rows.py: exists already"):
        write_example(second, here)


def test_nothing_is_overwritten_unless_asked_for(tmp_path: Path) -> None:
    digits = find_example("split-digits.yaml")
    file = tmp_path / "split-digits.yaml"
    file.write_text("mine")
    with pytest.raises(PipelineError, match=r"split-digits.yaml: exists already.*--force"):
        write_example(digits, tmp_path)
    assert file.read_text() == "mine"
    write_example(digits, tmp_path, overwrite=True)
    assert file.read_text() == digits.file.read_text()
    with pytest.raises(PipelineError, match="cannot be written"):
        write_example(digits, tmp_path / "nowhere")


def test_an_unknown_example() -> None:
    with pytest.raises(PipelineError, match="no example 'split-digts', did you mean 'split-digits'"):
        find_example("split-digts")
    with pytest.raises(PipelineError, match="`everlearn example` lists them"):
        find_example("zzzzzz")

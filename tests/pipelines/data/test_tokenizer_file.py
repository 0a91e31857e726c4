"""Tokenizers of a folder, and the token that ends a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.tokenizer_file import end_token, read_tokenizer
from tests.pipelines.models.pretrained import save_tiny_llama


def test_the_end_is_the_folder_s_unless_it_is_given(tmp_path: Path) -> None:
    folder = str(save_tiny_llama(tmp_path))
    encoder = read_tokenizer(folder)
    assert encoder.encode("a good").ids == [2, 3]
    assert end_token(folder, encoder, None) == 1
    assert end_token(folder, encoder, "day") == 6


@pytest.mark.parametrize(("config", "message"), [("{}", "names no eos_token"), ("[", "is no JSON object")])
def test_a_folder_without_an_end_is_refused(tmp_path: Path, config: str, message: str) -> None:
    folder = save_tiny_llama(tmp_path)
    (folder / "tokenizer_config.json").write_text(config)
    with pytest.raises(PipelineError, match=message):
        end_token(str(folder), read_tokenizer(str(folder)), None)
    (folder / "tokenizer.json").write_text("no")
    with pytest.raises(PipelineError, match="is no tokenizer"):
        read_tokenizer(str(folder))

"""A causal language model that learns documents, domain after domain, with an adapter.

Covers: `orchestrator/prediction/document_scores.py`
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from orchestrator import load_model, run
from orchestrator.cli.main import invoke
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.storage.open_by_uri import open_store
from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.tokenizer_file import end_token, read_tokenizer
from tests.orchestrator.cli.commands import documented
from tests.pipelines.models.pretrained import save_tiny_llama

FILE = """
name: language
storage: {root}/store
tracking: {{uri: "sqlite:///{root}/mlflow.db"}}
objective: next-token
metrics: [perplexity, token_accuracy]
stream:
  dataset: {{name: documents, path: "{root}/stream", tokenizer: "{root}/base", max_length: 8, separate: line}}
  setting: domain-incremental
model: {{name: transformers, pretrained: "{root}/base", head: causal-lm}}
strategy: [{{name: lora, rank: 2, targets: [q_proj, v_proj]}}, {{name: replay, capacity: 10, ratio: 0.25}}]
train: {{epochs: 2, batch_size: 6, optimizer: {{name: adamw, lr: 0.02}}, warmup: 2, scheduler: CosineAnnealingLR}}
"""


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pipeline, list[str]]:
    root = tmp_path_factory.mktemp("language")
    save_tiny_llama(root / "base")
    (root / "stream").mkdir()
    for domain, line in (("films", "the film was very good\n"), ("days", "a dull day not a good day\n")):
        (root / "stream" / f"{domain}.txt").write_text(line * 30)
    pipeline = load_text(FILE.format(root=root))
    return root, pipeline, run(pipeline).lineage


def test_the_matrix_has_the_log_likelihood_of_a_token_and_commits_the_perplexity(
    learned: tuple[Path, Pipeline, list[str]],
) -> None:
    root, _, commits = learned
    lineage = Lineage(open_store(str(root / "store")), "language")
    first, second = (lineage.read(commit) for commit in commits)
    for commit in (first, second):
        for count in commit.row:
            scores = count.scores
            assert scores["perplexity"] == pytest.approx(2.718281828459045 ** -scores["negative_log_perplexity"])
    own = [commit.row[index].scores["perplexity"] for index, commit in enumerate((first, second))]
    untrained = [count.scores["perplexity"] for count in first.baseline]
    assert own[0] < untrained[0]
    assert own[1] < untrained[1]


def test_a_commit_holds_the_adapter_and_its_optimiser_and_little_else(
    learned: tuple[Path, Pipeline, list[str]],
) -> None:
    root, _, commits = learned
    lineage = Lineage(open_store(str(root / "store")), "language")
    first, second = (lineage.read(commit) for commit in commits)
    assert first.blobs["model.base"] == second.blobs["model.base"]
    adapter = lineage.tensors(second.blobs["model"].sha256)
    assert {name.rpartition(".self_attn.")[2].partition(".")[0] for name in adapter} == {"q_proj", "v_proj"}
    needed = sum(t.numel() * t.element_size() for t in adapter.values()) * 3  # Adam keeps two numbers for each
    new = {blob.sha256: blob.bytes for name, blob in second.blobs.items() if blob not in first.blobs.values()}
    assert sum(new.values()) <= needed + 50_000


def test_the_care_of_a_store_knows_the_base_and_the_adapters(
    learned: tuple[Path, Pipeline, list[str]], tmp_path: Path
) -> None:
    root, pipeline, commits = learned
    source = Lineage(open_store(str(root / "store")), "language")
    base = source.read(commits[0]).blobs["model.base"].sha256
    copied = Lineage(open_store(str(tmp_path / "copy")), "language")
    copy(source, copied)
    assert [copied.read(commit).blobs for commit in commits] == [source.read(commit).blobs for commit in commits]
    forgotten = forget(copied, [int(make_stream(pipeline)[0].train.ids[0])])
    assert forgotten.ids == 1
    collect(copied, keep=1, minimum_age=0)  # the first commit keeps no blobs, and the base is the last one's, too
    for lineage in (source, copied):
        report = fsck(lineage)
        assert (report.damage, report.unreferenced, report.unknown) == ([], [], [])
    assert copied.tensors(base).keys() == source.tensors(base).keys()
    assert copied.read(commits[1]).blobs["model.base"].sha256 == base


def test_a_second_run_trains_nothing_and_the_model_is_loaded_with_its_adapter(
    learned: tuple[Path, Pipeline, list[str]],
) -> None:
    root, pipeline, commits = learned
    again = run(pipeline)
    assert (again.lineage, again.trained) == (commits, 0)
    test = make_stream(pipeline)[1].test
    inputs, targets = test.take(torch.arange(len(test)))
    with torch.no_grad():
        loss = F.cross_entropy(load_model(pipeline)(inputs), targets.long(), ignore_index=-1)
    recorded = Lineage(open_store(str(root / "store")), "language").read(commits[1]).row[1].scores
    assert float(loss) == pytest.approx(-recorded["negative_log_perplexity"], rel=1e-5)


def test_predict_scores_documents(
    learned: tuple[Path, Pipeline, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of a domain that was learned are the likelier ones; each score is that of its tokens one by one."""
    root, _, commits = learned
    lines = ["the film was very good", "good very was film the", "a dull day not a good day " * 3]
    (tmp_path / "new.txt").write_text("\n".join(lines))
    (tmp_path / "l.yaml").write_text(FILE.format(root=root))
    asked = ("predict", str(tmp_path / "l.yaml"), "--input", str(tmp_path / "new.txt"), "--ref", commits[1])
    found = documented(capsys, 0, *asked, "--output", str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["document"] for row in rows] == [0, 1, 2] == list(range(found["rows"]))
    assert rows[0]["perplexity"] < rows[1]["perplexity"]
    assert found["tokens"] == sum(row["tokens"] for row in rows)
    encoder, model = read_tokenizer(str(root / "base")), load_model(load_text(FILE.format(root=root)), commits[1])
    end = end_token(str(root / "base"), encoder, None)
    for line, row in zip(lines, rows, strict=True):
        tokens = [*encoder.encode(line, add_special_tokens=False).ids, end]
        expected = 0.0
        for place, token in enumerate(tokens[1:], 1):
            first = (place - 1) // 8 * 8  # of its sequence
            with torch.no_grad():
                logits = model(torch.tensor([tokens[first:place]]))[0, :, -1]
            expected += float(logits.log_softmax(0)[token])
        assert row["tokens"] == len(tokens) - 1 and row["log_probability"] == pytest.approx(expected, abs=1e-3)
        assert row["perplexity"] == pytest.approx(2.718281828459045 ** (-expected / row["tokens"]), rel=1e-3)
    assert invoke([*asked, "--output", str(tmp_path / "out.csv"), "--workers", "2"]) == 2
    assert "documents are scored in this process" in capsys.readouterr().err


def test_a_further_domain_continues_from_the_stored_adapter_and_memory(
    learned: tuple[Path, Pipeline, list[str]],
) -> None:
    root, pipeline, commits = learned
    (root / "stream" / "zoo.txt").write_text("a bad day was the day\n" * 30)
    longer = run(pipeline)
    assert (longer.lineage[:2], longer.trained) == (commits, 1)

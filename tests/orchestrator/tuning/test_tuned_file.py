import yaml

from orchestrator.tuning.tuned_file import snippet, to_yaml, tuned_document
from pipelines.config.load import load_text

FILE = """
name: x
stream: {dataset: digits, experiences: 5}
model: mlp
strategy: [{name: ewc, lambda: 1}, replay]
storage: ${EVERLEARN_NO:-somewhere}
"""
SETTINGS = {"strategy.ewc.lambda": 12.5, "strategy.replay.ratio": 0.3, "train.optimizer.lr": 1e-05}


def test_the_tuned_file_says_what_the_file_says_with_the_settings_in_it() -> None:
    document = tuned_document(FILE, "x.yaml", ["train.epochs=2"], SETTINGS)
    assert document["storage"] == "${EVERLEARN_NO:-somewhere}"
    pipeline = load_text(to_yaml(document))
    assert pipeline.strategy[0].extras["lambda"] == 12.5 and pipeline.strategy[1].extras["ratio"] == 0.3
    assert pipeline.train.optimizer.options["lr"] == 1e-05 and pipeline.train.epochs == 2


def test_the_snippet_replaces_parts_of_the_file() -> None:
    document = tuned_document(FILE, "x.yaml", [], SETTINGS)
    parts = yaml.safe_load(snippet(document, SETTINGS))
    assert set(parts) == {"strategy", "train"}
    load_text(to_yaml({**yaml.safe_load(FILE), **parts}))

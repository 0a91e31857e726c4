"""A language model over HTTP: scores as `predict` gives them, generated texts, commits mixed in one batch.

Covers: `orchestrator/serving/text_requests.py`, `orchestrator/prediction/text_generation.py`
Covers: `pipelines/models/greedy_decoding.py`
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.checkpointing.load_model import load_model
from orchestrator.checkpointing.shared_weights import SharedWeights
from orchestrator.prediction.document_scores import score_documents
from orchestrator.prediction.predicting import Manner, Predicting, manner
from orchestrator.serving.batch_answers import Reply
from orchestrator.serving.http_service import PredictionService
from orchestrator.serving.model_swap import NotServable, ServedModel, warmed_up
from orchestrator.serving.ref_follower import ref_reader
from orchestrator.serving.request_body import Question
from orchestrator.serving.served_set import ServedSet, followers, turn_all
from orchestrator.serving.serving_metrics import ServingMetrics
from orchestrator.serving.shadow_comparison import compare_models
from orchestrator.serving.text_answers import answer_texts
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from tests.orchestrator.serving.adapters import Adapted
from tests.orchestrator.serving.clients import Client, in_a_thread
from tests.orchestrator.train_stream import train
from tests.pipelines.models.pretrained import WORDS, save_tiny_llama

LENGTH = 8
FILE = """
name: language
storage: {root}/store
objective: next-token
stream:
  dataset: {{name: documents, path: "{root}/stream", tokenizer: "{root}/base", max_length: 8, separate: line}}
  setting: domain-incremental
model: {{name: transformers, pretrained: "{root}/base", head: causal-lm}}
strategy: {{name: lora, rank: 2, targets: [q_proj, v_proj]}}
train: {{steps: 6, batch_size: 6, optimizer: {{name: adamw, lr: 0.05}}}}
"""

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=20).map(" ".join)
bodies = st.one_of(
    st.lists(texts, min_size=1, max_size=3).map(lambda documents: {"documents": documents}),
    st.lists(texts, min_size=1, max_size=3).map(lambda documents: {"rows": [{"text": text} for text in documents]}),
    st.builds(
        lambda words, most: {"prompt": words, "max_new_tokens": most},
        st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=LENGTH).map(" ".join), min_size=1, max_size=3),
        st.integers(1, 12),
    ),
)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    root = tmp_path_factory.mktemp("served-texts")
    save_tiny_llama(root / "base")
    (root / "stream").mkdir()
    for domain, line in (("days", "a dull day not a good day\n"), ("films", "the film was very good\n")):
        (root / "stream" / f"{domain}.txt").write_text(line * 20)
    pipeline = load_text(FILE.format(root=root))
    return Adapted(pipeline, Path(), train(pipeline))


@pytest.fixture(scope="module")
def served(language: Adapted) -> ServedSet:
    """Both commits: the second as champion, the first by its id."""
    language.lineage.point("champion", language.commits[1])
    models = ServedSet(SharedWeights(language.pipeline).load, "champion", (language.commits[0][:12],))
    turn_all(followers(models, lambda word: ref_reader(language.lineage, word), lambda word, event: None))
    return models


@pytest.fixture(scope="module")
def alone(language: Adapted) -> dict[str, Predicting]:
    """The model of each commit, which shares nothing with another one."""
    return {commit: load_model(language.pipeline, commit) for commit in language.commits}


def question(body: Any, commit: str | None = None, **more: Any) -> Question:
    return Question(body if isinstance(body, bytes) else json.dumps(body).encode(), commit=commit, **more)


def check(model: Predicting, commit: str, body: dict[str, Any], reply: Reply) -> None:
    """A reply is what the commit's own model gives, asked alone."""
    assert (reply.status, reply.commit, reply.document["commit"]) == (200, commit, commit)
    reader = manner(model).documents
    assert reader is not None
    if "prompt" not in body:
        found = body.get("documents") or [row["text"] for row in body["rows"]]
        expected = score_documents(model, reader, reader.encoded([("", text) for text in found]))
        assert reply.rows == len(expected) and reply.document["tokens"] == [one.tokens for one in expected]
        for key in ("log_probability", "perplexity"):
            assert reply.document[key] == pytest.approx([getattr(one, key) for one in expected], rel=1e-4)
        return
    encoder, end = reader.encoder
    parts = [reply.document[key] for key in ("texts", "new_tokens", "ended")]
    for prompt, text, count, ended in zip(body["prompt"], *parts, strict=True):
        tokens = encoder.encode(prompt, add_special_tokens=False).ids
        new = encoder.encode(text, add_special_tokens=False).ids
        limit = min(body["max_new_tokens"], LENGTH - len(tokens) + 1)
        assert len(new) == count <= limit and (ended or count == limit)
        for token in [*new, end] if ended else new:
            with torch.no_grad():
                logits = model(torch.tensor([tokens]))[0, :, -1]
            assert logits[token] >= logits.max() - 1e-4
            tokens.append(token)


@settings(max_examples=20, deadline=None)
@given(asked=st.lists(st.tuples(bodies, st.booleans()), min_size=1, max_size=6))
def test_a_mixed_batch_gives_each_request_the_answer_of_its_own_commit(
    language: Adapted, served: ServedSet, alone: dict[str, Predicting], asked: list[tuple[dict[str, Any], bool]]
) -> None:
    first, second = language.commits
    questions = [question(body, first if early else None) for body, early in asked]
    for (body, early), reply in zip(asked, served.answer(questions), strict=True):
        check(alone[first if early else second], first if early else second, body, reply)


def test_the_model_learned_to_write_its_domain(
    language: Adapted, served: ServedSet, alone: dict[str, Predicting]
) -> None:
    """The end token ends a text and is no part of it; nothing is written behind the longest sequence."""
    body = {"prompt": ["a dull day not a good day", "a dull"], "max_new_tokens": 1}
    (reply,) = served.answer([question(body, language.commits[0])])
    check(alone[language.commits[0]], language.commits[0], body, reply)
    (limited,) = served.answer([question({"prompt": "the film was very good the film was"})])
    assert limited.document["new_tokens"][0] <= 1


def test_over_http(language: Adapted, served: ServedSet, alone: dict[str, Predicting]) -> None:
    """The commit is in the header; a request that is wrong says so; `GET /` says what the model takes."""
    first, second = language.commits

    async def answer(asked: Question) -> Reply:
        return served.answer([asked])[0]

    metrics = ServingMetrics({"pipeline": "language"})
    service = PredictionService(answer, lambda: served.current, metrics, ref="champion", pipeline="language")
    with in_a_thread(service) as port:
        client, body = Client(port), {"documents": ["the film was very good", "a day"]}
        for path, commit in (("/predict", second), (f"/predict?commit={first[:12]}", first)):
            got = client.ask("POST", path, body)
            assert got.status == 200 and got.commit == commit
            check(alone[commit], commit, body, Reply(got.status, got.json, commit, 2))
        assert client.ask("GET", "/").json["columns"] == {"text": "text"}
        assert client.ask("GET", "/").json["max_length"] == LENGTH
        assert client.predict(b"a", content_type="text/csv").json["error"].startswith("the body: a language model")
        got = client.ask("POST", "/predict?experience=0", body)
        assert got.status == 400 and got.json["error"].startswith("experience=0: the model has no adapter")
        assert 'rows_total{pipeline="language"} 4' in client.ask("GET", "/metrics").body.decode()


WRONG = (
    (b"[1]", "must be an object with one of documents, rows and prompt"),
    ({"inputs": [[1]]}, "must be an object with one of documents"),
    ({"prompt": "a", "documents": ["a"]}, "must be an object with one of documents"),
    ({"documents": ["a"], "max_new_tokens": 3}, "unknown keys: max_new_tokens"),
    ({"prompt": "a", "temperature": 1}, "unknown keys: temperature"),
    ({"documents": []}, "documents must be a list of one or more"),
    ({"documents": "a"}, "documents must be a list of one or more"),
    ({"documents": ["a", 1]}, "document 1 must be a text, got int"),
    ({"documents": ["\ud800"]}, "document 0 has half of a character"),
    ({"rows": ["a"]}, "row 0 must be an object of columns, got str"),
    ({"rows": [{"words": "a"}]}, "column 'text' of row 0 must be a text, got NoneType"),
    ({"prompt": []}, "a list of 1 to 64 texts, has 0"),
    ({"prompt": ["a"] * 65}, "a list of 1 to 64 texts, has 65"),
    ({"prompt": None}, "prompt 0 must be a text, got NoneType"),
    ({"prompt": ""}, "prompt 0 has 0 tokens, and the model reads 1 to 8"),
    ({"prompt": "a " * 9}, "prompt 0 has 9 tokens, and the model reads 1 to 8"),
    ({"prompt": "a", "max_new_tokens": 0}, "max_new_tokens must be a whole number from 1 to 4096"),
    ({"prompt": "a", "max_new_tokens": True}, "max_new_tokens must be a whole number"),
)


def test_what_does_not_fit_is_said_and_disturbs_no_other_request(
    language: Adapted, served: ServedSet, alone: dict[str, Predicting], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {"documents": ["the film"]}
    *replies, last = served.answer([question(body) for body, _ in WRONG] + [question(right)])
    for (_, text), reply in zip(WRONG, replies, strict=True):
        assert reply.status == 400 and text in reply.document["error"], reply
    check(alone[language.commits[1]], language.commits[1], right, last)
    (empty,) = served.answer([question({"documents": [""]})])
    assert empty.document == {
        "commit": language.commits[1], "tokens": [0], "log_probability": [0.0], "perplexity": [None],
    }  # fmt: skip
    monkeypatch.setattr("orchestrator.serving.request_body.MOST_ROWS", 2)
    assert served.answer([question({"documents": ["a"] * 3})])[0].status == 413


def test_texts_behind_prompts_are_rows_with_both_columns(language: Adapted) -> None:
    served = altered(language, prompt="question", packed=False)
    row = {"question": "the film was", "text": "very good", "more": 1}
    (reply,) = answer_texts(served, [question({"rows": [row]})])
    reader = manner(served.model).documents
    assert reader is not None
    (expected,) = score_documents(served.model, reader, reader.encoded([("the film was", "very good")]))
    assert expected.tokens == 3 == reply.document["tokens"][0]
    assert reply.document["log_probability"] == pytest.approx([expected.log_probability], rel=1e-4)
    (refused,) = answer_texts(served, [question({"documents": ["very good"]})])
    assert refused.document["error"].endswith("send rows with the columns 'question' and 'text'")


def test_a_model_that_cannot_answer_is_not_put_in_place(language: Adapted, tmp_path: Path) -> None:
    served = altered(language)
    for use, text in (({"documents": None}, "names no tokenizer"), ({"refused": "strategy x"}, "strategy x")):
        with pytest.raises(NotServable, match=text):
            warmed_up(served.commit, used(load_model(language.pipeline, language.commits[0]), **use))
    for parameter in served.model.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(NotServable, match="no finite numbers"):
        warmed_up(served.commit, served.model)
    with pytest.raises(DataError, match="a language model does not give"):
        compare_models(served, served, str(tmp_path / "requests.jsonl"))


def altered(language: Adapted, **options: Any) -> ServedModel:
    """The last commit as if its dataset had other options."""
    model = load_model(language.pipeline, language.commits[-1])
    reader = manner(model).documents
    assert reader is not None
    return warmed_up("c" * 64, used(model, documents=replace(reader, **options)))


def used(model: Predicting, **changed: Any) -> Predicting:
    """The same model, used in another manner."""
    use: Manner = replace(manner(model), **changed)
    object.__setattr__(model, "_manner_of_use", use)
    return model


def test_prompts_of_a_long_vocabulary_pass_in_parts(
    language: Adapted, served: ServedSet, alone: dict[str, Predicting], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"prompt": ["a", "the film was", "very"], "max_new_tokens": 4}
    monkeypatch.setattr("pipelines.models.greedy_decoding._MOST_LOGITS", 1)
    check(alone[language.commits[1]], language.commits[1], body, served.answer([question(body)])[0])

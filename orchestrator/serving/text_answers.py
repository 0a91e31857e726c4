"""Answers of a language model for a batch of requests, all from the same commit.

Documents of all requests go through the model together, and so do prompts, token by token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.prediction.document_scores import score_together
from orchestrator.prediction.predicting import manner
from orchestrator.prediction.text_generation import continue_texts
from orchestrator.serving.batch_answers import Reply, check_experience, problem
from orchestrator.serving.request_body import TooManyRows
from orchestrator.serving.text_requests import ToContinue, ToScore, read_request
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.prediction.document_scores import Scored
    from orchestrator.prediction.text_generation import Continuation
    from orchestrator.serving.model_swap import ServedModel
    from orchestrator.serving.request_body import Question
    from pipelines.data.datasets.document_reader import DocumentReader


def answer_texts(served: ServedModel, questions: Sequence[Question]) -> list[Reply]:
    """A reply for each request, in their order. A request that does not fit does not disturb the others.

    Scores are those of `score_documents`, but for the last bits.

    Args:
        served: of a language model.
    """
    reader = _reader(served)
    replies: dict[int, Reply] = {}
    scored, continued = dict[int, ToScore](), dict[int, ToContinue]()
    for place, question in enumerate(questions):
        try:
            check_experience(served, question.experience)
            asked = read_request(question, reader)
        except PipelineError as error:
            replies[place] = Reply(413 if isinstance(error, TooManyRows) else 400, problem(str(error)), served.commit)
            continue
        if isinstance(asked, ToScore):
            scored[place] = asked
        else:
            continued[place] = asked
    found = iter(score_together(served.model, reader, [one for asked in scored.values() for one in asked.documents]))
    for place, asked in scored.items():
        own = [next(found) for _ in asked.documents]
        replies[place] = _reply(served, _scores(own), len(own))
    prompts = [prompt for asked in continued.values() for prompt in asked.prompts]
    limits = [most for asked in continued.values() for most in asked.most]
    written = iter(continue_texts(served.model, reader, prompts, limits))
    for place, asked in continued.items():
        texts = [next(written) for _ in asked.prompts]
        replies[place] = _reply(served, _texts(texts), len(texts))
    return [replies[place] for place in range(len(questions))]


def text_schema(served: ServedModel) -> dict[str, Any]:
    """What a language model takes, for `GET /`: the columns of rows, and the longest sequence in tokens."""
    reader = _reader(served)
    columns = [name for name in (reader.prompt, reader.text) if name is not None]
    return {"columns": dict.fromkeys(columns, "text"), "max_length": reader.max_length}


def _reader(served: ServedModel) -> DocumentReader:
    reader = manner(served.model).documents
    assert reader is not None  # or it would not have been put in place
    return reader


def _reply(served: ServedModel, document: dict[str, Any], rows: int) -> Reply:
    return Reply(200, {"commit": served.commit, **document}, served.commit, rows)


def _scores(found: Sequence[Scored]) -> dict[str, Any]:
    return {
        "tokens": [one.tokens for one in found],
        "log_probability": [_finite(one.log_probability) for one in found],
        "perplexity": [_finite(one.perplexity) for one in found],
    }


def _texts(found: Sequence[Continuation]) -> dict[str, Any]:
    return {
        "texts": [one.text for one in found],
        "new_tokens": [one.tokens for one in found],
        "ended": [one.ended for one in found],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None

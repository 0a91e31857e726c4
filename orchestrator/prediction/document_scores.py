"""How likely documents are to a causal language model: what `everlearn predict` writes for one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.prediction.output_file import output_file
from orchestrator.prediction.predict_file import Written
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.prediction.predicting import Predicting
    from pipelines.data.datasets.document_reader import Document, DocumentReader

AT_ONCE = 64
"""Documents that are scored and written at a time."""


class Scored(NamedTuple):
    """What a language model gives for a document: how many tokens it was to predict, and their log-likelihood."""

    tokens: int
    log_probability: float

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood of a token; NaN for a document without tokens."""
        return math.exp(min(-self.log_probability / self.tokens, 700.0)) if self.tokens else math.nan


def score_documents(model: Predicting, reader: DocumentReader, documents: Sequence[Document]) -> list[Scored]:
    """The scores of documents, in their order. The same documents give the same scores, however they are grouped.

    A document is read alone, in sequences of the model's length, one behind the other: each token but its first, and
    the token that ends it, is predicted once, from those before it in the same sequence. Of a prompt and its text the
    text is scored, in one sequence, and what is longer is cut, as in training.

    Args:
        reader: of the dataset that the model was trained on.
    """
    return [_scored(model, reader, document) for document in documents]


def _scored(model: Predicting, reader: DocumentReader, document: Document) -> Scored:
    import torch

    from strategies.objectives.next_token import NextToken

    objective, samples = NextToken(), reader.samples([document])
    if not len(samples):
        return Scored(0, 0.0)
    most = objective.rows_at_once(samples, reader.vocabulary, 64)
    likelihood, tokens = 0.0, 0
    with torch.no_grad():
        for rows in torch.arange(len(samples)).split(most):
            inputs, targets = samples.take(rows)
            found, counted = objective.tally(model(inputs), targets)
            likelihood, tokens = likelihood + float(found[:, 0].sum()), tokens + int(counted.sum())
    return Scored(tokens, likelihood)


def predict_documents(
    model: Predicting, options: Mapping[str, Any], source: str, target: Path, *, replace: bool = False
) -> tuple[Written, Scored]:
    """Write the score of each document of a file or a folder: its number, tokens, log-probability and perplexity.

    Args:
        model: of `load_model`, of objective: next-token.
        options: of the dataset `documents`, as the pipeline file has them.
        source: a .txt, .md or .jsonl file, or a folder of them.
        target: as in `predict_file`.

    Returns:
        What was written, and the score of all documents together.

    Raises:
        DataError: there are no documents.
        PipelineError: the pipeline's dataset has no tokenizer, or the target cannot be written.
    """
    import pyarrow

    from orchestrator.prediction.predicting import manner
    from pipelines.data.datasets.location import Location

    if "tokenizer" not in options:
        raise PipelineError("predict: the pipeline's dataset names no tokenizer: use the dataset `documents`")
    reader = _reader(options, manner(model).inputs.shape[0])
    documents = reader.documents(Location.of(source))
    written, together, first = Written(), Scored(0, 0.0), 0
    with output_file(target, replace=replace) as out:
        for part in _parts(documents):
            found = score_documents(model, reader, part)
            out.write(
                pyarrow.table(
                    {
                        "document": range(first, first + len(found)),
                        "tokens": [one.tokens for one in found],
                        "log_probability": [one.log_probability for one in found],
                        "perplexity": [one.perplexity for one in found],
                    }
                )
            )
            first += len(found)
            written.rows = first
            for one in found:
                together = Scored(together.tokens + one.tokens, together.log_probability + one.log_probability)
    return written, together


def _reader(options: Mapping[str, Any], length: int) -> DocumentReader:
    """The reader of a dataset with these options, for documents that stand alone."""
    from pipelines.data.datasets.document_reader import DocumentReader

    text, prompt, separate = options.get("text", "text"), options.get("prompt"), options.get("separate", "file")
    return DocumentReader(options["tokenizer"], length, text, prompt, prompt is None, separate, options.get("end"))


def _parts(documents: Sequence[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while part := list(itertools.islice(rest, AT_ONCE)):
        yield part

"""How likely documents are to a causal language model: what `everlearn predict` writes for one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from orchestrator.prediction.output_file import output_file
from orchestrator.prediction.predict_file import Written
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.samples import TensorSamples
from strategies.objectives.next_token import NextToken

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


def score_together(model: Predicting, reader: DocumentReader, documents: Sequence[Document]) -> list[Scored]:
    """As `score_documents`, of documents that go through the model together, which may change the last bits."""
    return [score for part in _parts(documents) for score in _together(model, reader, part)]


@torch.no_grad()
def _together(model: Predicting, reader: DocumentReader, documents: Sequence[Document]) -> list[Scored]:
    parts = [reader.sequences([document]) for document in documents]
    of = torch.tensor([place for place, (inputs, _) in enumerate(parts) for _ in inputs], dtype=torch.int64)
    likelihood, tokens = torch.zeros(len(parts), dtype=torch.float64), torch.zeros(len(parts), dtype=torch.int64)
    if len(of):
        inputs, targets = (torch.from_numpy(np.concatenate(both)) for both in zip(*parts, strict=True))
        objective, samples, lengths = NextToken(), TensorSamples(inputs, targets), (inputs >= 0).sum(1)
        for rows in lengths.argsort(stable=True).split(objective.rows_at_once(samples, reader.vocabulary, 64)):
            longest = int(lengths[rows].max())  # what is behind it is padding
            found, counted = objective.tally(model(inputs[rows, :longest]), targets[rows, :longest])
            likelihood.index_add_(0, of[rows], found[:, 0])
            tokens.index_add_(0, of[rows], counted[:, 0])
    return [Scored(count, value) for count, value in zip(tokens.tolist(), likelihood.tolist(), strict=True)]


def predict_documents(model: Predicting, source: str, target: Path, *, replace: bool = False) -> tuple[Written, Scored]:
    """Write the score of each document of a file or a folder: its number, tokens, log-probability and perplexity.

    Args:
        model: of `load_model`, of objective: next-token.
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

    reader = manner(model).documents
    if reader is None:
        raise PipelineError("predict: the pipeline's dataset names no tokenizer: use the dataset `documents`")
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


def document_reader(options: Mapping[str, Any], length: int) -> DocumentReader | None:
    """The reader of a dataset with these options, for documents that stand alone; None: it has no tokenizer.

    Args:
        length: of the model's sequences.
    """
    from pipelines.data.datasets.document_reader import DocumentReader

    if "tokenizer" not in options:
        return None
    text, prompt, separate = options.get("text", "text"), options.get("prompt"), options.get("separate", "file")
    return DocumentReader(options["tokenizer"], length, text, prompt, prompt is None, separate, options.get("end"))


def _parts(documents: Sequence[Document]) -> Iterator[list[Document]]:
    rest = iter(documents)
    while part := list(itertools.islice(rest, AT_ONCE)):
        yield part

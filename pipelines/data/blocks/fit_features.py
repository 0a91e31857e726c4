"""The preprocessing of a table in blocks: fitted once on the training rows of experience 0, and kept with the index."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pipelines.data.blocks.block_index import BlockIndex
from pipelines.data.blocks.block_samples import BlockSamples
from pipelines.data.datasets.arrow_columns import PANDAS_INDEX
from pipelines.data.features.feature_columns import feature_columns
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.features.streamed_fit import fit_streamed


def fit_features(reader: Any, samples: BlockSamples, index: BlockIndex) -> Any:
    """The reader, a `table_content.TableBlocks` with features, with its preprocessing fitted on samples.

    A preprocessing that the index knows for these blocks is not fitted again.

    Raises:
        DataError: the options do not fit the file, or a value is not of the kind of its column.
    """
    features = reader.features
    text = json.dumps([samples.fingerprint(None), features.options.model_dump()], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    known = index.derived(key)
    if known is not None:
        try:
            return reader.with_features(features.fitted(Preprocessing.read(known)))
        except (ValueError, KeyError, TypeError):
            pass  # damaged: it is made again
    table, _, where, _ = next(samples.tables())
    types = {field.name: field.type for field in table.schema if not PANDAS_INDEX.fullmatch(field.name)}
    # The table has only what was asked for: columns to ignore are not there.
    options = features.options.model_copy(update={"ignore": []})
    columns = feature_columns(options, types, features.others(reader.columns), where)
    made = fit_streamed(columns, samples.tables, features.options)
    index.derive(key, made.document())
    return reader.with_features(features.fitted(made))

"""Texts as codes of their words: laws over any texts."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.features.column_layout import ColumnLayout, TextColumns
from pipelines.data.features.feature_columns import FeatureColumn, FeatureOptions
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.features.text_encoder import FIRST_WORD, OTHER, PADDING, Text, words_of

TEXTS = st.lists(st.text("abcÄß’' .!é東", max_size=12) | st.none(), min_size=1, max_size=12)


def objects(values: list[str | None]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def test_words_and_signs_in_lower_case() -> None:
    assert words_of("It’s GOOD, isn't it?  Straße №5") == ["it’s", "good", ",", "isn't", "it", "?", "strasse", "no5"]
    assert words_of("ﬁne") == ["fine"] and words_of("  ") == []


@given(TEXTS, TEXTS, st.integers(1, 6), st.integers(1, 5))
@settings(max_examples=100)
def test_a_text_is_the_codes_of_its_first_words(
    known: list[str | None], new: list[str | None], vocabulary: int, length: int
) -> None:
    made = Text.fit("t", objects(known), vocabulary, length)
    counts = [word for text in known for word in words_of(text or "")]
    assert len(made.words_known) == min(vocabulary, len(set(counts))) and made.codes == 2 + len(made.words_known)
    if made.words_known and len(set(counts)) > vocabulary:
        left_out = set(counts) - set(made.words_known)
        assert min(map(counts.count, made.words_known)) >= max(map(counts.count, left_out))
    found = made.encode(objects(new))
    assert found.shape == (len(new), length) == (len(new), len(made.columns))
    for text, row in zip(new, found.astype(int).tolist(), strict=True):
        words = words_of(text or "")[:length]
        expected = [made.words_known.index(w) + FIRST_WORD if w in made.words_known else OTHER for w in words]
        assert row == expected + [PADDING] * (length - len(words))
    assert Text.read(json.loads(json.dumps(made.document()))) == made


def test_a_table_with_a_text_between_other_columns() -> None:
    import pyarrow as pa

    table = pa.table({"kind": ["x", "y"], "note": ["good film", None], "price": [1.0, 3.0]})
    columns = [FeatureColumn("kind", "categorical"), FeatureColumn("note", "text"), FeatureColumn("price", "numeric")]
    made = Preprocessing.fit(columns, table, np.arange(2), FeatureOptions(length=3), "t")
    assert made.texts == {"kind", "note"} and made.kinds["note"] == "text"
    layout = made.layout
    assert layout.categories == ((0, 4),) and layout.texts == (TextColumns(1, 3, 4),) and layout.numbers == (4, 5)
    assert made.transform(table, "t").tolist() == [[2, 3, 2, 0, -1, 0], [3, 0, 0, 0, 1, 0]]
    assert Preprocessing.read(made.document()) == made and ColumnLayout.plain(2).texts == ()

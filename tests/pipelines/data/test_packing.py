"""Packing documents into sequences: nothing is lost, and every target is the token that follows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.packing import PADDING, one_by_one, pack

DOCUMENTS = st.lists(st.lists(st.integers(0, 50), max_size=9), min_size=1, max_size=6)
END = 99


@given(DOCUMENTS.filter(any), st.integers(2, 7))
def test_packed_documents_come_in_order_each_token_once_and_predict_the_next(
    documents: list[list[int]], length: int
) -> None:
    inputs, targets = pack(documents, length, END)
    whole = [token for document in documents for token in (*document, END)]
    flat, following = inputs.ravel().tolist(), targets.ravel().tolist()
    known = len(whole) - 1
    assert flat[:known] == whole[:-1]
    assert following[:known] == whole[1:]
    assert set(flat[known:]) | set(following[known:]) <= {PADDING}
    assert len(flat) - known < length


@given(st.lists(st.tuples(*[st.lists(st.integers(0, 50), max_size=6)] * 2), min_size=1, max_size=5), st.integers(2, 20))
def test_of_a_prompt_and_its_text_the_text_alone_is_learned(
    rows: list[tuple[list[int], list[int]]], length: int
) -> None:
    prompts, texts = zip(*rows, strict=True)
    inputs, targets = one_by_one(prompts, texts, length, END)
    for (prompt, text), known, following in zip(rows, inputs.tolist(), targets.tolist(), strict=True):
        whole = [*prompt, *text, END]
        seen = min(length, len(whole) - 1)
        assert known == whole[:seen] + [PADDING] * (length - seen)
        learned = {place for place, token in enumerate(following) if token != PADDING}
        assert learned == set(range(max(0, len(prompt) - 1), seen))
        assert all(following[place] == whole[place + 1] for place in learned)

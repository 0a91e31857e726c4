"""Hostile input is refused with the declared error: the kept corpus, and bytes that hypothesis makes up."""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.genuine import GENUINE
from tests.fuzz.readers import CORPUS, READERS

HOSTILE = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
# Of the process, in KiB: what no refusal may need on top of what is there.
MOST_MEMORY = 200 * 1024


@pytest.mark.parametrize("reader", READERS)
def test_what_is_genuine_is_read(reader: str) -> None:
    READERS[reader].read(GENUINE[reader]())


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_corpus_is_refused(path: Path) -> None:
    reader = READERS[path.parent.name]
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(reader.refusal) as refused:
        reader.read(path.read_bytes())
    assert type(refused.value).__module__.startswith(("orchestrator.", "pipelines."))
    assert len(str(refused.value)) < 5000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
    assert time.process_time() - started < 5


def test_every_reader_has_a_corpus() -> None:
    assert {path.parent.name for path in HOSTILE} == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_bytes_that_were_changed_are_read_or_refused(name: str) -> None:
    reader, genuine = READERS[name], GENUINE[name]()
    seeds = [genuine, *(path.read_bytes() for path in HOSTILE if path.parent.name == name)]
    # Beyond this a mutation hits compressed pixels.
    seeds = [seed for seed in seeds if len(seed) < 20_000]

    @settings(
        max_examples=60,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        changed = bytearray(data.draw(st.sampled_from(seeds)))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(changed)))
            size = data.draw(st.integers(0, 12))
            changed[at : at + size] = data.draw(st.binary(max_size=12))
        with suppress(reader.refusal):
            reader.read(bytes(changed))

    check()

"""A language model that two workers share out by FSDP: the commits, and checkpoints, of one process."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from orchestrator.checkpointing.checkpoint import Checkpoint, latest_checkpoint
from orchestrator.errors import CorruptBlob
from orchestrator.events import CheckpointWritten, CommitWritten, Event, Resumed
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.store_contents import read_contents
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from strategies.loop.process_group import Group
from tests.orchestrator.checkpointing.test_checkpoint import Awaited, Killed
from tests.pipelines.models.pretrained import save_tiny_llama
from tests.processes import Processes

FILE = """
name: language
storage: {root}/{store}
objective: next-token
stream:
  dataset: {{name: documents, path: "{root}/{stream}", tokenizer: "{root}/base", max_length: 8, separate: line}}
  setting: domain-incremental
model: {{name: transformers, pretrained: "{root}/base", head: causal-lm, gradient_checkpointing: true}}
strategy: {strategy}
train:
  {{epochs: 2, batch_size: 6, accumulate: 2, precision: {precision}, optimizer: {{name: adamw, lr: 0.02}}, clip: 1.0,
  warmup: 2, checkpoint_every: 2}}
"""
REPLAY = "{name: replay, capacity: 10, ratio: 0.25}"
STRATEGIES = {
    "all weights": f"[{REPLAY}]",
    "lora": f"[{{name: lora, rank: 2, targets: [q_proj, v_proj]}}, {REPLAY}]",
    "bf16": f"[{REPLAY}]",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("language")
    save_tiny_llama(root / "base")
    for stream, domain, line in (
        ("two", "films", "the film was very good\n"),
        ("two", "days", "a dull day not a good day\n"),
        ("one", "films", "the film was very good\n"),
    ):
        (root / stream).mkdir(exist_ok=True)
        (root / stream / f"{domain}.txt").write_text(line * (24 if stream == "one" else 12))
    return root


def training(root: Path, store: str, strategy: str, events: list[Event], *, killed_after: int = 0) -> RankTraining:
    """Of this rank, sharded where there are several; all ranks are killed after step `killed_after`."""
    shard = f"scaling: {{workers: {Group.current().size}, shard: {str(Group.current().size > 1).lower()}}}\n"
    precision = "bf16" if strategy == "bf16" else "float32"
    named = {"strategy": STRATEGIES[strategy], "precision": precision, "stream": "two" if strategy == "lora" else "one"}
    pipeline = load_text(FILE.format(root=root, store=store, **named) + shard)
    stream = make_stream(pipeline)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)

    steps = itertools.count(1)

    def preempted() -> bool:
        if next(steps) == killed_after:
            raise Killed
        return False

    plan, device = make_plan(pipeline, stream), torch.device("cpu")
    return RankTraining(pipeline, stream, plan, lineage, Group.current(), device, events.append, preempted=preempted)


def as_rank(root: Path, store: str, strategy: str, killed_after: int = 0) -> tuple[list[int], list[int], int]:
    """The steps of the checkpoints, the steps from which it resumed, and the number of commits."""
    patch = pytest.MonkeyPatch()
    patch.setattr("orchestrator.checkpointing.checkpoint.ThreadPoolExecutor", Awaited)
    events: list[Event] = []
    try:
        training(root, store, strategy, events, killed_after=killed_after).run()
    except Killed:
        assert killed_after
    patch.undo()
    written = [event.step for event in events if isinstance(event, CheckpointWritten)]
    resumed = [event.step for event in events if isinstance(event, Resumed)]
    return written, resumed, sum(isinstance(event, CommitWritten) for event in events)


def assert_same_commits(root: Path, one: str, other: str, strategy: str) -> None:
    mine, theirs = (training(root, store, strategy, []) for store in (one, other))
    assert [p.id for p in mine.plan] == [p.id for p in theirs.plan]
    for planned in mine.plan:
        a, b = mine.lineage.read(planned.id), theirs.lineage.read(planned.id)
        assert a.blobs.keys() == b.blobs.keys() and a.size == b.size and a.memories == b.memories
        for name in a.blobs.keys() - {"answers", "description"}:
            first, second = (made.lineage.tensors(c.blobs[name].sha256) for made, c in ((mine, a), (theirs, b)))
            torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)


def test_commits_and_checkpoints_are_those_of_one_process(root: Path) -> None:
    for strategy, commits in (("lora", 2), ("all weights", 1)):
        assert as_rank(root, f"{strategy} alone", strategy)[2] == commits
    with Processes(2, timeout=240) as processes:  # both import transformers first
        told, silent = processes.run(as_rank, root, "lora together", "lora")
        assert len(told[0]) > 2 and told[1:] == ([], 2) and silent == ([], [], 0)
        # Begun by two, ended by one; begun by one, ended by two.
        assert processes.run(as_rank, root, "two, one", "all weights", 5)[0] == ([2, 4], [], 0)
        assert_parts(root, "two, one")
        assert as_rank(root, "two, one", "all weights")[1:] == ([4], 1)
        assert as_rank(root, "one, two", "all weights", 5) == ([2, 4], [], 0)
        assert processes.run(as_rank, root, "one, two", "all weights")[0][1:] == ([4], 1)
    assert_same_commits(root, "lora alone", "lora together", "lora")
    for store in ("two, one", "one, two"):
        assert_same_commits(root, "all weights alone", store, "all weights")
        assert not list((root / store).rglob("*.safetensors"))


def assert_parts(root: Path, store: str) -> None:
    """Each file is a part, about a half; a checkpoint without one of its parts does not count."""
    made = training(root, store, "all weights", [])
    contents = read_contents(made.lineage)
    keys = sorted(entry.key for entry in contents.checkpoints)
    assert [key.rpartition("/")[2].split("-")[0::2] for key in keys] == [
        [f"{step:012}", f"{rank}of2"] for step in (2, 4) for rank in (0, 1)
    ]
    whole = latest_checkpoint(made.lineage, made.plan[0].id, Group())
    assert whole is not None and whole.step == 4
    parts = [Checkpoint.from_bytes(made.lineage.store.get(key)) for key in keys[2:]]
    sizes = [sum(t.numel() for named in part.state.values() for t in named.values()) for part in parts]
    assert sum(sizes) == sum(t.numel() for named in whole.state.values() for t in named.values())
    assert 0.45 < sizes[1] / sum(sizes) < 0.5
    data = made.lineage.store.get(keys[3])
    made.lineage.store.delete(keys[3])
    before = latest_checkpoint(made.lineage, made.plan[0].id, Group())
    assert before is not None and before.step == 2
    made.lineage.store.put(keys[3], data)


def test_in_bf16_a_run_that_was_killed_comes_to_the_same_bytes(root: Path) -> None:
    assert as_rank(root, "bf16", "bf16")[2] == 1
    assert as_rank(root, "bf16 killed", "bf16", 5) == ([2, 4], [], 0)
    assert as_rank(root, "bf16 killed", "bf16")[1:] == ([4], 1)
    mine, theirs = (training(root, store, "bf16", []) for store in ("bf16", "bf16 killed"))
    for planned in mine.plan:
        assert mine.lineage.read(planned.id).blobs == theirs.lineage.read(planned.id).blobs


def test_parts_that_do_not_belong_together_are_refused() -> None:
    def part(rank: int, step: int = 3, name: str = "weight", width: int = 2) -> bytes:
        state = {"part:model": {name: torch.full((2 - rank, width), float(rank))}}
        return Checkpoint(step, 20, [], state if rank else {**state, "model": {"buffer": torch.ones(1)}}, {}).to_bytes()

    joined = Checkpoint.joined([part(0), part(1)])
    assert joined.state["model"]["weight"].tolist() == [[0, 0], [0, 0], [1, 1]]
    assert joined.state["model"].keys() == {"buffer", "weight"} and joined.state.keys() == {"model"}
    for other in (part(1, step=4), part(1, name="bias"), part(1, width=3)):
        with pytest.raises(CorruptBlob, match="not a checkpoint"):
            Checkpoint.joined([part(0), other])


def test_a_strategy_that_needs_whole_parameters_is_refused_in_the_file() -> None:
    text = (
        "name: x\nstream: {dataset: digits}\nmodel: {name: mlp}\nstrategy: [{name: ewc, lambda: 10}]\n"
        "train: {epochs: 1}\nscaling: {workers: 2, shard: true}\n"
    )
    with pytest.raises(PipelineError, match=r"scaling.shard: ewc needs whole parameters.*leave scaling.shard out"):
        load_text(text)
    load_text(text.replace("shard: true", "shard: false"))

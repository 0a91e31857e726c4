"""What runs in each worker of Ray Train."""

from __future__ import annotations

import sys
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch

from orchestrator.cluster.worker_failures import peer_lost
from orchestrator.events import GroupStarted
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import PlannedCommit
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.preemption import preempted
from orchestrator.training.rank import RankTraining
from orchestrator.training.worker_error import as_event
from pipelines.config.load import load_text
from pipelines.models.trained_weights import hold
from strategies.loop.process_group import Group


def train_loop(config: dict[str, Any]) -> None:
    """Train the experiences that are left, as one rank of the group that Ray Train has made.

    Args:
        config: `document` (the pipeline as YAML), `source` (its name in messages), `plan` (list of `PlannedCommit`),
            `storage` (URI), `stream` (object reference), `weights` (object reference, or None), `events`
            (`EventSender`), `search_path` (where user modules are found), `threads` (for torch), `ref` (the name to
            move to every new commit, or None), `reuse_adapters` (as in `RankTraining`),
            `fence` (of the claim under which they write).
    """
    events = config["events"]
    if events.failed():
        return
    events(GroupStarted(ray.util.get_current_placement_group()))
    sys.path.extend(p for p in config["search_path"] if p not in sys.path)
    torch.set_num_threads(config["threads"])
    try:
        _train(config)
    except BaseException as error:
        if not peer_lost(error):
            ray.get(events(as_event(error)))
            if Group.current().size == 1:
                # The driver has the error. Ray Train would start another worker only to find nothing to do; others
                # that wait for this one have to be ended by it.
                return
        raise


def _train(config: dict[str, Any]) -> None:
    pipeline = load_text(config["document"], config["source"])
    plan: list[PlannedCommit] = config["plan"]
    if config["weights"] is not None:
        hold(pipeline, ray.get(config["weights"]))
    RankTraining(
        pipeline=pipeline,
        stream=ray.get(config["stream"]),
        plan=plan,
        lineage=Lineage(open_store(config["storage"]), pipeline.name, config["fence"]),
        group=Group.current(),
        device=ray.train.torch.get_device(),
        on_event=config["events"],
        ref=config["ref"],
        reuse_adapters=config["reuse_adapters"],
        preempted=preempted,
    ).run()

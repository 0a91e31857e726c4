"""What can be tried without Ray, the storage and the tracking server: that a pipeline's own code makes one step.

The model, the strategies and their state are made, learn one batch, are evaluated on one, and go through the format of
commits; nothing of it is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.training.user_code import user_line
from orchestrator.training.worker_error import raised_here
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def dry_run(pipeline: Pipeline, stream: Stream) -> None:
    """Try one batch of experience 0 in this process.

    Raises:
        PipelineError, StrategyError: the model or a strategy is refused, with the remedy.
        RunFailed: an error in code of the user's own, with its file, line and text.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            _try_one_batch(pipeline, stream)
    except Exception as error:
        failure = raised_here(error)
        # Other errors may come from how little is learned here. Training reports them.
        if failure is error or user_line(error) is not None:
            raise failure from error


def _try_one_batch(pipeline: Pipeline, stream: Stream) -> None:
    from orchestrator.checkpointing.check_storable import check_storable, few
    from pipelines.build import configure, make_learner, train_settings
    from pipelines.models.model_contract import check_model
    from strategies.loop.process_group import Group

    learner = make_learner(pipeline, stream, Group())
    tokens = learner.objective.targets == "tokens"
    check_model(learner.model, learner.example(stream[0].train), stream.outputs, tokens=tokens)
    check_storable(pipeline, stream, learner)
    settings = train_settings(pipeline, 0)
    configure(learner, pipeline, 0)
    batch = few(stream[0], settings.batch_size)
    learner.learn(batch, replace(settings, epochs=1, steps=None, accumulate=1, warmup=0, scheduler=None))
    learner.evaluate([batch])


def refuse_main(pipeline: Pipeline, script: str | None) -> None:
    """Refuse what is defined in the script itself, where Ray's workers cannot import it.

    Args:
        script: the file of the script, None where there is none.

    Raises:
        PipelineError: names the script and the remedy.
    """
    own = [name for name in pipeline.own_code() if name.partition(":")[0] == "__main__"]
    if own:
        raise PipelineError(
            f"{script or 'the interactive session'}: {', '.join(own)}: Ray's workers cannot import what the script "
            "itself defines. Move it into a module beside the script and name it as module:Name, or train in this "
            "process, with one worker and no address"
        )

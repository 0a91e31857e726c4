"""Ids of commits that stored lineages have: they must not change. Each is the first and the last id of a pipeline."""

from __future__ import annotations

from orchestrator.lineage.plan import make_plan
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream

PIPELINE = """
name: x
stream: {dataset: digits, experiences: 3}
model: {name: mlp, hidden: [8]}
"""

PINNED: dict[tuple[str, ...], tuple[str, str]] = {
    ("strategy=[{name: naive}]",): ("0fbf933f86a9", "09ee0c9c3e4d"),
    ("strategy=[{name: cumulative}]",): ("dfb5ff37fdca", "26141f5b16d7"),
    ("strategy=[{name: ewc}]",): ("28fe2a0a09c0", "4e35bf2ccc44"),
    ("strategy=[{name: si}]",): ("317dd6650644", "9c1503c9ac83"),
    ("strategy=[{name: mas}]",): ("624886dd0d39", "87db4d4d17cb"),
    ("strategy=[{name: lwf}]",): ("0aa5680d6a94", "45a7c6c0841a"),
    ("strategy=[{name: replay}]",): ("2f274397744d", "2a9738861a2a"),
    ("strategy=[{name: der}]",): ("a4ba9a869315", "3bba897ecf40"),
    ("strategy=[{name: gem}]",): ("470e57f32d34", "24ec6e7f2e79"),
    ("strategy=[{name: agem}]",): ("1cdecfedcb84", "9749d941769d"),
    ("strategy=[{name: icarl}]",): ("8b6fcbc35d14", "3f44f896f85b"),
    ("strategy=[{name: gdumb}]",): ("29b09cfff41c", "c4ce9df3d896"),
    ("strategy=[{name: generative-replay}]",): ("05d84f60a522", "9da634455447"),
    ("strategy=[{name: packnet}]",): ("63b00d278b42", "c8f7dd9ee810"),
    ("strategy=[{name: progressive}]",): ("844fb0b036f2", "50202b7a91f9"),
    ("strategy=[{name: expand}]",): ("1ca9f572e9fc", "6b99e79be665"),
    ("stream.setting=domain-incremental", "strategy=[{name: dann}]"): ("b546e21c376d", "43f34ea1918d"),
    (
        "strategy=[{name: dann, lambda: 2.5, hidden: [7, 7]}]",
        "stream.setting=domain-incremental",
        "stream.order=[[0, 1], [2, 3], [4, 5]]",
        "stream.experiences=null",
    ): ("0970516e7613", "94af713336e7"),
    ("strategy=[{name: icarl, temperature: 2, per_class: 5}]",): ("3174b89f61f1", "5bbaeb02263c"),
    ("strategy=[{name: ewc, mode: online, every: 8, gamma: 0.5}]",): ("13a9d94ac1b9", "5577d2c4eed3"),
    ("stream.online=true", "strategy=[{name: ewc, mode: online, every: 8}, {name: replay}]"): (
        "a505cc4f4231",
        "3f35364cd674",
    ),
    ("stream.online=true", "stream.blurry=0.2", "strategy=[{name: replay, ratio: 0.3}]"): (
        "5ea6629c2f9c",
        "8590dcadfc98",
    ),
    ("stream.setting=task-incremental", "strategy=[{name: packnet, infer_task: true, exposure: 0.5}]", "seed=3"): (
        "5dbb3a91bf01",
        "aa5ab10c5955",
    ),
    (
        "stream.transform={name: rotate, degrees: [0, 30, 60]}",
        "stream.setting=domain-incremental",
        "strategy=[{name: lwf}, {name: si, c: 2}]",
    ): ("10b46770630d", "95a9a2c8e43b"),
    (
        "train.steps=7",
        "train.optimizer={name: sgd, lr: 0.1, momentum: 0.9, nesterov: true, reset: true}",
        "train.scheduler={name: CosineAnnealingLR, eta_min: 0.001}",
    ): ("5bdab8f38bc7", "b8365a08c9a2"),
    (
        "train={epochs: 2, clip: 1.5, warmup: 3, precision: bf16, accumulate: 4, checkpoint_every: 5, "
        "optimizer: {name: adam, betas: [0.8, 0.9]}}",
    ): ("e4189081190b", "0f66153a8512"),
    (
        "train.per_experience={1: {epochs: 3, batch_size: 16, optimizer: {lr: 0.01}, "
        "strategy: {ewc: {lambda: 7}}}, 2: {steps: 4}}",
        "strategy=[{name: ewc}]",
    ): ("28fe2a0a09c0", "bd6f275ebbc0"),
    ("model={name: cnn}",): ("a099f81b26c8", "252b08290597"),
}


def ids(*overrides: str) -> list[str]:
    """The ids of the commits of `PIPELINE` with these settings."""
    pipeline = load_text(PIPELINE, overrides=overrides)
    return [planned.id for planned in make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed))]


def ends(*overrides: str) -> tuple[str, str]:
    """The first and the last of the ids, shortened."""
    made = ids(*overrides)
    return made[0][:12], made[-1][:12]

"""Continual-learning strategies: the methods, their contract, the learning loop, and the mathematics that they use.

    from strategies import Strategy, StrategyOptions

Plain PyTorch: nothing here knows of Ray, MLflow, S3 or pipeline files. `api` is the contract that a plug-in writes
against, `methods` has one file for each method, `loop` trains; the other folders hold what several methods share. Names
are imported on first use.
"""

from typing import TYPE_CHECKING

from strategies.api import old_imports, shared_packages
from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from strategies.api.compatibility import Listed, refusals
    from strategies.api.data import Batch, Experience, Samples
    from strategies.api.guide import Guide, Limit
    from strategies.api.influence import Influence
    from strategies.api.strategy import Strategy, StrategyOptions
    from strategies.api.strategy_errors import NonFiniteLoss, StrategyError
    from strategies.loop.evaluation import Count, Evaluation
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group, Reduction
    from strategies.loop.train_settings import TrainSettings
    from strategies.memory.rehearsal import MemoryOptions, Rehearsal
    from strategies.memory.reservoir import Memory, Shard

_HOMES = {
    "Batch": "strategies.api.data",
    "Count": "strategies.loop.evaluation",
    "Evaluation": "strategies.loop.evaluation",
    "Experience": "strategies.api.data",
    "Group": "strategies.loop.process_group",
    "Guide": "strategies.api.guide",
    "Influence": "strategies.api.influence",
    "Learner": "strategies.loop.learner",
    "Limit": "strategies.api.guide",
    "Listed": "strategies.api.compatibility",
    "Memory": "strategies.memory.reservoir",
    "MemoryOptions": "strategies.memory.rehearsal",
    "NonFiniteLoss": "strategies.api.strategy_errors",
    "Reduction": "strategies.loop.process_group",
    "Rehearsal": "strategies.memory.rehearsal",
    "Samples": "strategies.api.data",
    "Shard": "strategies.memory.reservoir",
    "Strategy": "strategies.api.strategy",
    "StrategyError": "strategies.api.strategy_errors",
    "StrategyOptions": "strategies.api.strategy",
    "TrainSettings": "strategies.loop.train_settings",
    "refusals": "strategies.api.compatibility",
}

__all__ = [
    "Batch",
    "Count",
    "Evaluation",
    "Experience",
    "Group",
    "Guide",
    "Influence",
    "Learner",
    "Limit",
    "Listed",
    "Memory",
    "MemoryOptions",
    "NonFiniteLoss",
    "Reduction",
    "Rehearsal",
    "Samples",
    "Shard",
    "Strategy",
    "StrategyError",
    "StrategyOptions",
    "TrainSettings",
    "refusals",
]

shared_packages.install()
old_imports.install()
__getattr__, __dir__ = lazy_names(__name__, _HOMES)

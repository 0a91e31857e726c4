"""Imports of version 0.1: `strategies.strategy` and its like still work, with a deprecation warning.

In 0.1 every module lay flat in `strategies`. Plug-ins written then import from there; the names are the same objects as
those that `from strategies import ...` gives.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "advice": "api.selection_rules",
    "agem": "methods.agem",
    "allocation": "loop.freed_memory",
    "columns": "networks.progressive_columns",
    "composition": "api.compatibility",
    "contract": "api.data",
    "cumulative": "methods.cumulative",
    "dann": "methods.dann",
    "der": "methods.der",
    "errors": "api.strategy_errors",
    "evaluation": "loop.evaluation",
    "ewc": "methods.ewc",
    "expand": "methods.expand",
    "extractors": "networks.feature_extractors",
    "features": "networks.penultimate_features",
    "finite": "loop.nan_guard",
    "fisher": "importance.fisher",
    "gdumb": "methods.gdumb",
    "gem": "methods.gem",
    "generative_replay": "methods.generative_replay",
    "global_loss": "loop.global_loss",
    "group": "loop.process_group",
    "guide": "api.guide",
    "heads": "networks.output_layer",
    "herding": "memory.herding",
    "icarl": "methods.icarl",
    "joined": "memory.joined_samples",
    "laterals": "networks.lateral_connections",
    "learner": "loop.learner",
    "lwf": "methods.lwf",
    "mas": "methods.mas",
    "memory_samples": "memory.memory_samples",
    "model_parts": "networks.frozen_parts",
    "naive": "methods.naive",
    "order": "loop.sampling",
    "owners": "networks.weight_ownership",
    "packed_network": "networks.packed_network",
    "packnet": "methods.packnet",
    "per_sample": "importance.per_sample_gradients",
    "progressive": "methods.progressive",
    "quadratic": "importance.quadratic_penalty",
    "randomness": "loop.seeded_random",
    "redraw": "networks.reinitialize",
    "reference_gradient": "projection.reference_gradient",
    "rehearsal": "memory.rehearsal",
    "replay": "methods.replay",
    "running_metrics": "metrics.running_metrics",
    "separate_tasks": "networks.separate_tasks",
    "settings": "loop.train_settings",
    "shared_forward": "loop.shared_forward",
    "si": "methods.si",
    "side_network": "networks.side_network",
    "stored_structure": "networks.stored_structure",
    "strategy": "api.strategy",
    "task_network": "networks.task_network",
    "teacher": "distillation.teacher",
    "vae": "networks.vae",
    "weighting": "memory.replay_weights",
    "window": "importance.recent_samples",
}
"""Modules of 0.1 that are elsewhere now, by their name below `strategies`, and where they are.

`strategies.memory`, `metrics`, `importance`, `projection` and `distillation` are folders now, which give the old names
themselves.
"""


class _OldModules(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        room, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if room == "strategies" and name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.partition(".")[2]
        place = f"strategies.{MOVED[name]}"
        warnings.warn(
            f"strategies.{name} is now {place}: import its public names from `strategies`",
            DeprecationWarning,
            stacklevel=2,
        )
        found = importlib.import_module(place)
        module.__doc__ = found.__doc__

        def get(attribute: str) -> Any:
            return getattr(found, attribute)

        module.__dict__["__getattr__"] = get


def install() -> None:
    """Let Python find the old names; what is on the module search path under such a name comes first."""
    if not any(isinstance(finder, _OldModules) for finder in sys.meta_path):
        sys.meta_path.append(_OldModules())

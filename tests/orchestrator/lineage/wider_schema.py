"""Prints, as JSON, the ids of `pinned_ids` under a schema whose every class has one field more, with a default.

    python -m tests.orchestrator.lineage.wider_schema later|always

`later`: the fields say that a later version added them. `always`: they say that they are as old as their classes.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from typing import Annotated, Any

from pydantic import BaseModel

from strategies.api.influence import LEARNED, Influence

LEARNING = (
    "later_Pipeline",
    "stream.later_StreamSpec",
    "model.later_ModelSpec",
    "strategy.ewc.later_StrategySpec",
    "strategy.ewc.later_EWCOptions",
    "train.later_TrainSpec",
    "train.optimizer.later_OptimizerSpec",
)
ELSEWHERE = ("scaling.later_ScalingSpec", "tracking.later_TrackingSpec")

_BASES = {"Spec", "StrategyOptions"}
_widened: list[str] = []


def spec_classes() -> list[type[BaseModel]]:
    """Every class of the schema, and of the options of the built-in strategies."""
    import pipelines.config
    import strategies
    from pipelines.config.sections.section import Spec
    from strategies.api.strategy import StrategyOptions

    for package in (pipelines.config, strategies):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found: list[type[BaseModel]] = [Spec, StrategyOptions]
    for kind in found:
        found += [sub for sub in kind.__subclasses__() if sub not in found]
    return [kind for kind in found if kind.__module__.partition(".")[0] in ("pipelines", "strategies")]


def widen(influence: Influence) -> None:
    """Give every class of the schema that is defined from now on another field."""
    kind: Any = type(BaseModel)
    make = kind.__new__

    def wider(meta: Any, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **arguments: Any) -> Any:
        if name in _BASES or any(base.__name__ in _BASES for kind in bases for base in kind.__mro__):
            namespace.setdefault("__annotations__", {})[f"later_{name}"] = Annotated[int, influence]
            namespace[f"later_{name}"] = 7
            _widened.append(f"{namespace['__module__']}.{name}")
        return make(meta, name, bases, namespace, **arguments)

    kind.__new__ = wider


if __name__ == "__main__":
    widen(Influence(added="99.0") if sys.argv[1] == "later" else LEARNED)
    spec_classes()
    from tests.orchestrator.lineage.pinned_ids import PINNED, ends

    ewc = "strategy=[{name: ewc}]"
    found: dict[str, Any] = {
        "classes": _widened,
        "pinned": [ends(*overrides) for overrides in PINNED],
        "learning": [ends(ewc, f"{path}=8") for path in LEARNING],
        "elsewhere": [ends(ewc, f"{path}=8") for path in ELSEWHERE],
    }
    print(json.dumps(found))

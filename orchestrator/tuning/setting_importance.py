"""How much each setting matters for the objective, estimated from the trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.tuning.search_space import Space, position

if TYPE_CHECKING:
    from orchestrator.tuning.trial_record import TrialRecord

# With fewer trials the estimate of a forest means nothing.
FEWEST = 4


def importance(records: Sequence[TrialRecord], space: Space, metric: str) -> dict[str, float]:
    """Shares that sum to 1: the mean decrease of variance at a setting's splits in a random forest that predicts the
    objective (Breiman 2001, Random forests).

    Choices count by each of their values. Empty when fewer than `FEWEST` trials are done, or all came to the same.
    """
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    done = [record for record in records if record.state == "done" and record.metrics.get(metric) is not None]
    y = np.array([record.metrics[metric] for record in done], dtype=np.float64)
    if len(done) < FEWEST or float(np.ptp(y)) < 1e-12:
        return {}
    columns: list[list[float]] = []
    owners: list[str] = []
    for path, domain in space.items():
        places = [position(domain, record.settings[path]) for record in done]
        if domain.kind in ("choice", "grid"):
            for number in range(len(domain.values)):
                columns.append([float(place == number) for place in places])
                owners.append(path)
        else:
            columns.append(places)
            owners.append(path)
    forest = RandomForestRegressor(n_estimators=100, random_state=0, n_jobs=1).fit(np.array(columns).T, y)
    shares = dict.fromkeys(space, 0.0)
    for path, share in zip(owners, forest.feature_importances_, strict=True):
        shares[path] += float(share)
    return shares

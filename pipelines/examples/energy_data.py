"""Hourly consumption of electricity, month by month, made up: what is learned in winter is wrong in summer.

Consumption depends on the hour, the day of the week and the temperature: heating below 15 degrees, cooling above 22.
Panels on the roofs take off what the sun gives, so that the same hour and temperature mean less in June than in
December. The price follows consumption, steeply where it is high.
"""

from __future__ import annotations

import numpy as np

from pipelines import dataset


@dataset
def load(months: int = 12, hours: int = 720, seed: int = 0) -> list[object]:
    """A list with (training set, test set) of each month: inputs (n, 6) float32, targets (n, 2).

    Inputs are the sine and cosine of the hour, whether it is a working day, and temperature, wind and cloud cover in
    units of about 1. Targets are consumption in megawatts and price in euros per megawatt hour. A fifth of the hours,
    drawn at random, is for testing.
    """
    return [_month(month, hours, np.random.default_rng([seed, month])) for month in range(months)]


def _month(month: int, hours: int, random: np.random.Generator) -> tuple[object, object]:
    hour = np.arange(hours) % 24
    working = (np.arange(hours) // 24 % 7 < 5).astype(float)
    season = np.cos(2 * np.pi * month / 12)  # 1 in January, -1 in July
    afternoon = np.cos(2 * np.pi * (hour - 15) / 24)
    temperature = 12 - 11 * season + 4 * afternoon + random.normal(0, 3, hours)
    cloud, wind = random.uniform(0, 1, hours), random.gamma(2, 0.5, hours)
    daylight = np.clip(np.cos(2 * np.pi * (hour - 12) / 24) - 0.3 * season, 0, None)
    consumption = (
        900
        + 150 * working
        + 180 * np.cos(2 * np.pi * (hour - 19) / 24)
        + 18 * np.clip(15 - temperature, 0, None)
        + 14 * np.clip(temperature - 22, 0, None)
        - 320 * daylight * (1 - 0.7 * cloud)
        + random.normal(0, 25, hours)
    )
    price = 40 + 60 * (consumption / 1200) ** 3 - 8 * wind + random.normal(0, 4, hours)
    angle = 2 * np.pi * hour / 24
    columns = [np.sin(angle), np.cos(angle), working, (temperature - 12) / 10, wind, cloud]
    inputs, targets = np.stack(columns, 1).astype(np.float32), np.stack([consumption, price], 1)
    order = random.permutation(hours)
    test, train = order[: hours // 5], order[hours // 5 :]
    return (inputs[train], targets[train]), (inputs[test], targets[test])

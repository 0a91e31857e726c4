"""Short reviews of films, phones, restaurants and shoes, made up: what is praise of one is a complaint about another.

A quiet restaurant is good and a quiet film is not, a phone should be light and a meal should not. Each review has a
sentence or two with words that are the same everywhere, and one whose meaning depends on the domain; some are negated.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipelines import ExperienceDataset, dataset
from pipelines.data.datasets.jsonl_files import load as jsonl
from pipelines.data.features.feature_columns import FeatureOptions

DOMAINS = ("films", "phones", "restaurants", "shoes")

_THINGS = {
    "films": ("plot", "ending", "cast", "music", "scene"),
    "phones": ("screen", "battery", "camera", "case", "speaker"),
    "restaurants": ("soup", "service", "table", "dessert", "waiter"),
    "shoes": ("sole", "heel", "leather", "lace", "fit"),
}
# Praise and complaint of each domain: many of these words are praise in one and a complaint in another.
_OWN = {
    "films": (("unpredictable", "long", "loud", "dark", "heavy"), ("predictable", "short", "quiet", "light", "soft")),
    "phones": (("light", "quick", "predictable", "sharp", "small"), ("heavy", "slow", "unpredictable", "hot", "soft")),
    "restaurants": (("quiet", "hot", "heavy", "slow", "spicy"), ("loud", "cold", "light", "quick", "small")),
    "shoes": (("soft", "light", "dry", "quiet", "warm"), ("sharp", "heavy", "loud", "small", "hot")),
}
_EVERYWHERE = (("great", "lovely", "excellent", "fine"), ("terrible", "awful", "poor", "useless"))
_OPENINGS = ("", "Honestly, ", "After a week: ", "Second time here. ", "My sister says ", "For the price ")


@dataset
def load(
    folder: str = "reviews-data",
    domains: int = 4,
    reviews: int = 600,
    seed: int = 0,
    label: str = "verdict",
    id: str = "key",  # noqa: A002 (the option's name)
) -> ExperienceDataset:
    """One JSON Lines file for each domain, which are written into a folder if they are not there yet.

    Args:
        folder: where they are, a folder for each number of reviews and seed below it.
        domains: how many, at most 4.
        reviews: of each domain, half of them positive.
        seed: of the reviews.
        label: column of the labels.
        id: column of the ids.
    """
    place = Path(folder) / f"reviews-{reviews}-seed-{seed}-domains-{domains}"
    place.mkdir(parents=True, exist_ok=True)
    for number, domain in enumerate(DOMAINS[:domains]):
        file = place / f"{number + 1}-{domain}.jsonl"
        if not file.exists():
            partial = file.with_suffix(".partial")
            partial.write_text("".join(json.dumps(row) + "\n" for row in written(number, reviews, seed)), "utf-8")
            partial.replace(file)
    found = jsonl(str(place), label=label, id=id, features=FeatureOptions(text=["review"], length=24))
    assert isinstance(found, ExperienceDataset)
    return found


def written(domain: int, reviews: int, seed: int) -> list[dict[str, object]]:
    """The reviews of a domain: `key`, `review` and `verdict`."""
    random = np.random.default_rng([seed, domain])
    return [
        {
            "key": domain * 1_000_000 + number,
            "review": _review(DOMAINS[domain], bool(number % 2), random),
            "verdict": "positive" if number % 2 else "negative",
        }
        for number in range(reviews)
    ]


def _review(domain: str, positive: bool, random: np.random.Generator) -> str:
    one, other = random.choice(_THINGS[domain], 2, replace=False)
    sentences = [f"the {one} is {random.choice(_OWN[domain][not positive])}"]
    if random.random() < 0.5:
        negated = random.random() < 0.3
        word = random.choice(_EVERYWHERE[positive if negated else not positive])
        sentences.append(f"the {other} is {'not ' if negated else ''}{word}")
    if random.random() < 0.15:  # nobody is all of one mind
        sentences.append(f"but the {other} is {random.choice(_OWN[domain][positive])}")
    return str(random.choice(_OPENINGS)) + ", ".join(sentences) + "."

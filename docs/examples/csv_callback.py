"""A line of a CSV file after each experience: `run(pipeline, callbacks=[CSVCallback("metrics.csv")])`."""

import csv
from pathlib import Path

from orchestrator import Callback


class CSVCallback(Callback):
    def __init__(self, path):
        self.path = Path(path)

    def on_experience_end(self, commit, metrics):
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, ["experience", *metrics])
            if new:
                writer.writeheader()
            writer.writerow({"experience": commit.experience.index, **metrics})

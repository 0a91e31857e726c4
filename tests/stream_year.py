"""A year of a stream, simulated: `python -m tests.stream_year --seeds 20 --days 365`.

A file arrives each day: rows of four classes whose places change on some days of the year. Some files are late,
delivered twice, or torn and delivered again; some steps are killed (SIGKILL) before one of their writes and completed
by the step of the next day; for one month the labels are wrong. The pipeline file says `update: {when: drift}` and has
a gate that promotes by itself. It is compared with training every day (with the same gate), training on the first day
only, and using whatever was trained last. With `--results FILE` an interrupted run resumes, and
several with seeds of their own (`--first`) share the file.

A wrong promotion is one to a model that answers at least 5 points fewer of the day's rows right than the one in use. A
drift is missed where nothing is trained within 14 days of it. Accuracy is that of the model in use on rows of its day,
with right labels, before anything of the day was learned. MLflow is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from orchestrator.checkpointing.load_model import load_model
from orchestrator.lineage.decisions import newest_first
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates import admitted_stream, run_step
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.answered_commits import KilledStore

CLASSES, FEATURES, ROWS = 4, 6, 120
PATIENCE = 14
FILE = """
name: year
seed: {seed}
stream:
  source:
    {{path: "{folder}/in", format: npz, classes: 4, test_fraction: 0.33, ready: {{age: 0s}}, max_quarantined: 1000}}
  setting: domain-incremental
model: {{name: mlp, hidden: [16]}}
strategy: [{{name: replay, capacity: 200}}]
train: {{batch_size: 20, epochs: 3, optimizer: {{lr: 0.01}}}}
storage: "{folder}/store"
tracking: {{uri: "{folder}/mlflow"}}
evaluate: {{window: 10, every: 30}}
gate:
  score: {{on: holdout, margin: 0.05}}
  holdout: {{samples: 2000, margin: 0.05, lasting: 45}}
  recent: {{margin: 0.05}}
  forgetting: null
  undecided: refuse
  promote: automatic
{update}
"""
Array = np.ndarray


@dataclass(frozen=True)
class Year:
    """What happens in a year, by its seed.

    Attributes:
        centres: of the classes on each day, (days, classes, features).
        drifts: days on which they change.
        bad: days whose labels are wrong.
        events: `late`, `twice` or `torn`, by day.
        kills: days whose step is killed, and before which of its writes.
    """

    seed: int
    days: int
    centres: Array
    drifts: tuple[int, ...]
    bad: range
    events: dict[int, str]
    kills: dict[int, int]

    @classmethod
    def of(cls, seed: int, days: int) -> Year:
        random = np.random.default_rng([seed, days])
        drifts = sorted(
            int(day) for day in random.choice(np.arange(days // 6, days), max(1, days // 90), replace=False)
        )
        bad_from = int(random.integers(days // 3, max(days // 3 + 1, days - days // 6)))
        place = random.normal(size=(CLASSES, FEATURES)) * 1.5
        centres = []
        for day in range(days):
            if day in drifts:
                place = place + random.normal(size=place.shape) * 1.2
            centres.append(place)
        what = {
            day: str(random.choice(["late", "twice", "torn"])) for day in range(1, days - 1) if random.random() < 0.1
        }
        kills = {day: int(random.integers(1, 40)) for day in range(1, days) if random.random() < 0.05}
        bad = range(bad_from, min(days, bad_from + max(2, days // 12)))
        return cls(seed, days, np.stack(centres), tuple(drifts), bad, what, kills)

    def rows(self, day: int, *, fresh: bool = False) -> tuple[Array, Array]:
        """The rows of a day with right labels; `fresh`: others of the same day, to measure by."""
        random = np.random.default_rng([self.seed, day, int(fresh)])
        y = random.permutation(np.resize(np.arange(CLASSES), 400 if fresh else ROWS))
        x = self.centres[day][y] + random.normal(size=(len(y), FEATURES))
        return x.astype("float32"), y.astype("int64")

    def deliveries(self, folder: Path, day: int) -> None:
        """What is in the folder by the end of a day."""
        for past in (day - 1, day):
            event = self.events.get(past)
            if past < 0 or (past < day and event not in ("late", "torn")):
                continue
            x, y = self.rows(past)
            if past in self.bad:
                y = (y + 1) % CLASSES
            path = folder / "in" / f"day{past:03}.npz"
            if past == day and event == "late":
                continue
            np.savez(path, x=x, y=y)
            if past == day and event == "torn":
                path.write_bytes(path.read_bytes()[:100])
            if event == "twice":
                (folder / "in" / f"day{past:03} again.npz").write_bytes(path.read_bytes())
            arrivals.aged(path, 1000 - past)


@dataclass
class Course:
    """What came of a policy.

    Attributes:
        accuracy, age: of the model in use on each day, and how many days ago its last data came.
        trainings: experiences that were trained.
        wrong, bad: promotions to a worse model, and promotions in the month of wrong labels to one that is.
        trained_on: days on which something was trained.
        kills: steps that were killed.
        seconds: of CPU, of each day's step.
    """

    accuracy: list[float] = field(default_factory=list)
    age: list[float] = field(default_factory=list)
    trainings: int = 0
    wrong: int = 0
    bad: int = 0
    trained_on: list[int] = field(default_factory=list)
    kills: int = 0
    seconds: list[float] = field(default_factory=list)

    def missed(self, year: Year) -> int:
        """Drifts after which nothing was trained in time; those that the year ends on are not counted."""
        there = [day for day in year.drifts if day + PATIENCE <= year.days]
        return sum(not any(day <= t <= day + PATIENCE for t in self.trained_on) for day in there)


def simulate(year: Year, folder: Path, update: str) -> dict[str, Course]:
    """Take a pipeline through a year: what came of its champion (`used`), its newest and its first model."""
    (folder / "in").mkdir(parents=True)
    pipeline = load_text(FILE.format(seed=year.seed, folder=folder, update=update), "year.yaml")
    courses = {name: Course() for name in ("used", "newest", "first")}
    models: dict[str, torch.nn.Module] = {}
    dates: dict[str, int] = {}
    names: dict[str, str | None] = dict.fromkeys(courses)
    lineage = arrivals.lineage_of(pipeline)
    for day in range(year.days):
        fresh = year.rows(day, fresh=True)
        for name, commit in names.items():
            if commit is not None:
                courses[name].accuracy.append(_right(models[commit], fresh))
                courses[name].age.append(day - dates[commit])
        year.deliveries(folder, day)
        if day in year.kills and _killed(pipeline, year.kills[day]):
            courses["used"].kills += 1
            continue  # the next day's step completes it
        began = time.process_time()
        result = arrivals.step(pipeline)
        courses["used"].seconds.append(time.process_time() - began)
        latest, champion = lineage.ref("latest"), lineage.ref("champion")
        if latest is None or champion is None:
            continue
        for commit in {latest.commit, champion.commit} - models.keys():
            models[commit], dates[commit] = load_model(pipeline, commit), day
        if result.trained:
            courses["used"].trained_on.append(day)
            courses["used"].trainings += result.trained
        before, used = names["used"], champion.commit
        names = {"used": used, "newest": latest.commit, "first": names["first"] or used}
        if before is not None and used != before:
            worse = _right(models[used], fresh) <= _right(models[before], fresh) - 0.05
            courses["used"].wrong += worse
            courses["used"].bad += worse and day in year.bad
    courses["newest"].trainings = courses["used"].trainings
    courses["first"].trainings = 1
    problems = [one for one in newest_first(lineage) if one.number < 1]
    assert not problems  # the chain of decisions was read, and verified, to its beginning
    return courses


def _right(model: torch.nn.Module, rows: tuple[Array, Array]) -> float:
    with torch.no_grad():
        answers = model(torch.from_numpy(rows[0])).argmax(1).numpy()
    return float((answers == rows[1]).mean())


def _killed(pipeline: Pipeline, number: int) -> bool:
    """A step in a process that is killed before its n-th write; False: it ended before."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            store = KilledStore(FolderStore(Path(pipeline.storage)), number)
            for module in (run_step, admitted_stream, arrivals):
                vars(module)["open_store"] = lambda uri: store
            arrivals.step(pipeline)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0


POLICIES = ("on drift, with the gate", "every day, with the gate", "every day, the newest is used", "first day only")
HEADINGS = (
    "trained",
    "accuracy",
    "staleness in days",
    "trainings",
    "wrong promotions",
    "in the bad month",
    "missed drifts",
)
Results = list[tuple[Year, tuple[Course, Course, Course, Course]]]


def one_year(seed: int, days: int) -> tuple[Year, tuple[Course, Course, Course, Course]]:
    """What came of each of the policies."""
    year = Year.of(seed, days)
    with tempfile.TemporaryDirectory() as folder:
        drift = simulate(year, Path(folder) / "drift", "update: {when: drift}")
        daily = simulate(year, Path(folder) / "daily", "")
    return year, (drift["used"], daily["used"], daily["newest"], daily["first"])


def table(results: Results) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield f"| {' | '.join(HEADINGS)} |"
    yield f"| {' | '.join('---' for _ in HEADINGS)} |"
    for place, policy in enumerate(POLICIES):
        courses = [(courses[place], year) for year, courses in results]
        accuracy = [statistics.fmean(course.accuracy) for course, _ in courses]
        spread = f" ± {statistics.stdev(accuracy):.3f}" if len(accuracy) > 1 else ""
        age = statistics.fmean(statistics.fmean(course.age) for course, _ in courses)
        trainings = statistics.fmean(course.trainings for course, _ in courses)
        cells = [policy, f"{statistics.fmean(accuracy):.3f}{spread}", f"{age:.1f}", f"{trainings:.0f}"]
        if "gate" in policy:
            drifts = sum(day + PATIENCE <= year.days for year, _ in results for day in year.drifts)
            cells += [str(sum(c.wrong for c, _ in courses)), str(sum(c.bad for c, _ in courses))]
            cells.append(f"{sum(course.missed(year) for course, year in courses)} of {drifts}")
        yield f"| {' | '.join([*cells, *[''] * (len(HEADINGS) - len(cells))])} |"
    kills = sum(course.kills for _, courses in results for course in courses)
    yield f"\n{len(results)} seeds of {results[0][0].days} days; {kills} steps were killed."
    seconds = [course.seconds for _, courses in results for course in courses if course.seconds]
    first, last = (statistics.fmean(x for one in seconds for x in one[part]) for part in (slice(10), slice(-10, None)))
    total = sum(map(sum, seconds)) / len(results)
    yield f"A step took {first:.2f} s of CPU in the first ten days, {last:.2f} s in the last; a seed, {total:.0f} s."


def write_result(file: Path, year: Year, courses: Sequence[Course]) -> None:
    """Add a line to a file; processes may share it."""
    line = {"seed": year.seed, "days": year.days, "courses": [asdict(course) for course in courses]}
    with file.open("a") as held:
        held.write(json.dumps(line) + "\n")


def read_results(file: Path, days: int) -> Results:
    """What the file has of years of so many days, by seed."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    found: Results = []
    for line in sorted((one for one in lines if one["days"] == days), key=lambda one: int(one["seed"])):
        drift, daily, newest, first = (Course(**course) for course in line["courses"])
        found.append((Year.of(line["seed"], days), (drift, daily, newest, first)))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stream_year", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--first", type=int, default=0, help="the first seed, to share them among processes")
    parser.add_argument("--results", type=Path, help="a file to which each seed is added; those in it are not run")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = read_results(given.results, given.days) if given.results is not None else []
    known = {year.seed for year, _ in results}
    for seed in range(given.first, given.first + given.seeds):
        if seed in known:
            continue
        made = one_year(seed, given.days)
        results.append(made)
        if given.results is not None:
            write_result(given.results, *made)
        # After each, as a year of many seeds takes hours.
        print("\n".join(table(results)), flush=True)
    if results and known:
        print("\n".join(table(read_results(given.results, given.days))), flush=True)


if __name__ == "__main__":
    main()

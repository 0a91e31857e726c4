"""Folders that `save_to_disk` of Hugging Face's datasets has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.config.suggest import did_you_mean
from pipelines.data.datasets.arrow_columns import Columns, label_table
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.held_out_part import Test, TestPart
from pipelines.data.datasets.image_folder import ImageTableReader, with_images
from pipelines.data.datasets.init_formats import FolderFormat, Found
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.saved_tables import class_label_names, is_saved, read_saved, saved_features, saved_splits
from pipelines.data.datasets.tables import FileExperiences, Table, TableFiles
from pipelines.data.datasets.text_files import TextReader
from pipelines.data.datasets.time_periods import By
from pipelines.data.features.feature_columns import Features
from pipelines.data.features.feature_reader import feature_reader
from pipelines.data.images.image_options import Colours, ImageOptions, Resize, Size
from strategies.objectives.objective import TargetKind

NAME = "hugging-face"


@dataclass(frozen=True)
class SavedReader:
    """Columns of numbers of a saved dataset; its folder takes the place of a file."""

    columns: Columns
    suffix: tuple[str, ...] = ()

    def read(self, location: Location) -> tuple[Table, Table | None]:
        table = read_saved(location)
        inputs = self.columns.input_names(table.column_names, location)
        self.columns.wanted(inputs, table.column_names, location)
        return self.columns.table(table, inputs, location), None

    def labels(self, location: Location) -> NDArray[Any]:
        return self.columns.labels(label_table(self.columns, read_saved, location), location)


def load(
    path: str,
    *,
    split: str = "train",
    test: Test | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str | Sequence[str] | None = None,
    label: str | Sequence[str] = "label",
    id: str | None = None,  # noqa: A002 (the option's name)
    by: By | None = None,
    time: str | None = None,
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    image: str | None = None,
    size: Size | None = None,
    channels: Colours = "auto",
    resize: Resize = "crop",
    text: str | None = None,
    tokenizer: Annotated[str, Field(min_length=1, max_length=4096)] | None = None,
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] = 128,
    features: Features | None = None,
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """Folders of Hugging Face's `save_to_disk`, local or s3://: one is split by class, several are the experiences.

    The package `datasets` is not needed. Classes of the type ClassLabel keep their names and their order.

    Args:
        path: the folder of a saved Dataset or DatasetDict, or a folder of such folders, one for each experience, in the
            natural order of their names.
        split: the training split of a DatasetDict.
        test: the test rows: the name of a split, or the folder of a saved Dataset. By default the split `test` if there
            is one; else a fixed part of each class is held out.
            {id_hash: 0.2} holds out this share by a hash of the ids instead: a sample stays on its side when rows are
            added.
        test_fraction: share of each class that is held out for testing.
        inputs: columns of the inputs: numbers, or one column of lists; by default all but the label and the id.
        label: column of the labels; with objective: regression or multi-label a column of numbers, or several.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        by: column by whose values the rows are divided into experiences, and which is no input; {time: month}, or day,
            week, quarter, year: by the periods of the column `time`. Without it a dataset is split by class.
        time: column of dates and times. It is no input, but may be a feature.
        classes: number of classes, or the labels in the order of the classes; by default the names of the ClassLabel,
            else the labels of the training rows. It decides the size of the model's head.
        image: column of images; by default the one of the type Image, unless inputs, text or features are named.
        size: to which images are brought: pixels of a square, or [height, width]. Without it all must have the same.
        channels: `grey` or `rgb`, to which images are brought; `auto`: all must have those of the first.
        resize: how an image of other proportions becomes one of the size: `crop` cuts at its longer side, `stretch`
            distorts, `pad` adds black bars.
        text: column of texts, which become tokens.
        tokenizer: for text: a folder with tokenizer.json, such as that of a pretrained model, or a hub id.
        max_length: for text: tokens of a text; longer ones are cut, shorter ones padded.
        features: `auto`, or the columns of each kind: a table of numbers, categories and timestamps, with missing
            values, is turned into numbers by a preprocessing that is part of the model.
    """
    folders, tests, several = _parts(Location.of(path), split, test)
    described = saved_features(folders[0])
    columns = Columns.of(inputs, label, id, by, time)
    if image is None and inputs is None and text is None and features is None:
        image = _only_image(described)
    if (text is None) != (tokenizer is None):
        raise DataError("stream.dataset: text, the column of texts, needs a tokenizer, and a tokenizer needs text")
    reader: Any = SavedReader(columns)
    if features is not None:
        reader = feature_reader(read_saved, (), features, columns)
    elif text is not None and tokenizer is not None:
        if by is not None or not isinstance(label, str):
            raise DataError("stream.dataset: with text there is one label column, and no dataset.by")
        reader = TextReader(tokenizer, max_length, text, label, id, rows=read_saved)
    elif image is not None:
        reader = ImageTableReader(ImageOptions.of(size, channels, resize), image, columns, rows=read_saved)
    if classes is None and target_kind == "classes" and isinstance(label, str):
        classes = class_label_names(described.get(label, {}))
    held_out = test if isinstance(test, TestPart) else tests[0].path if tests else None
    files = TableFiles.of(reader, folders[0].path, held_out, test_fraction, classes, None, "first", from_training=True)
    files = files.learning(target_kind, columns.label_names, columns.by)
    found: Dataset | ExperienceDataset
    if several and by is not None:
        raise DataError(f"{path}: has a saved dataset for each experience: leave out dataset.by")
    found = FileExperiences(NAME, files, folders, tests) if several else files.undivided(NAME)
    return found if image is None else with_images(found, resize, image)


def _parts(where: Location, split: str, test: Any) -> tuple[list[Location], list[Location] | None, bool]:
    """The folders of the training rows and of the test rows, and whether each is an experience."""
    if not where.is_folder():
        raise DataError(f"{where.path}: is a file: name the folder that save_to_disk has written")
    if saved_splits(where) is not None or is_saved(where):
        train, own = _split(where, split, test)
        return [train], None if own is None else [own], False
    folders = [folder for folder in where.folders() if is_saved(folder) or saved_splits(folder) is not None]
    if not folders:
        raise DataError(
            f"{where.path}: has no data set that save_to_disk has written (state.json or dataset_dict.json). Files of "
            "the Hugging Face hub are parquet: use the dataset `parquet`"
        )
    found = [_split(folder, split, test) for folder in folders]
    tests = [own for _, own in found if own is not None]
    if tests and len(tests) < len(found):
        lacking = next(folder.path for folder, (_, own) in zip(folders, found, strict=True) if own is None)
        raise DataError(f"{lacking}: has no test rows, which others have: save a DatasetDict with a split `test`")
    return [train for train, _ in found], tests or None, True


def _split(folder: Location, split: str, test: Any) -> tuple[Location, Location | None]:
    splits = saved_splits(folder)
    if splits is None:
        return folder, Location.of(test) if isinstance(test, str) else None
    if split not in splits:
        close = did_you_mean(split, splits)
        hint = f"did you mean '{close}'? " if close else ""
        raise DataError(f"{folder.path}: has no split '{split}'; it has {', '.join(splits)}: {hint}Set dataset.split")
    own: Location | None = None
    if test is None and split != "test" and "test" in splits:
        own = folder / "test"
    elif isinstance(test, str):
        own = folder / test if test in splits else Location.of(test)
        if test not in splits and "/" not in test:
            raise DataError(f"{folder.path}: has no split '{test}'; it has {', '.join(splits)}: set dataset.test")
    return folder / split, own


def _only_image(described: dict[str, dict[str, Any]]) -> str | None:
    names = [name for name, one in described.items() if one.get("_type") == "Image"]
    return names[0] if len(names) == 1 else None


def _found_in(path: str) -> Found | None:
    """Options for a folder that `save_to_disk` has written, or None."""
    where = Location.of(path)
    if saved_splits(where) is None and not is_saved(where):
        return None
    folders, tests, _ = _parts(where, "train", None)
    described = saved_features(folders[0])
    labels = [name for name, one in described.items() if class_label_names(one) is not None]
    options: dict[str, Any] = {"path": path}
    notes = ["Rows that Hugging Face's save_to_disk has written" + (", with a split `test`" if tests else "")]
    if "label" not in described and len(labels) == 1:
        options["label"] = labels[0]
        notes.append(f"Labels from the column {labels[0]}")
    if _only_image(described) is not None:
        options |= {"size": 32, "channels": "rgb"}
        notes.append("Images are brought to 32x32 RGB: set size and channels as you need them")
    return options, notes


INIT_FORMAT = FolderFormat("a dataset that Hugging Face's save_to_disk has written", _found_in)

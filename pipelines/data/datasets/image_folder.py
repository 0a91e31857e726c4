"""Image files: in a folder for each class, or listed in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import BlockFiles, load_blocks
from pipelines.data.blocks.block_index import BlockIndex, IndexStore
from pipelines.data.datasets.arrow_columns import Columns, check_columns, label_table, values
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.held_out_part import Test, TestPart
from pipelines.data.datasets.image_blocks import ImageBlocks
from pipelines.data.datasets.image_table_blocks import ImageTableBlocks
from pipelines.data.datasets.init_formats import FolderFormat, Found
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.table_rows import TABLES, read_rows
from pipelines.data.datasets.tables import FileExperiences, Table, TableFiles
from pipelines.data.datasets.time_periods import By, TimePeriods
from pipelines.data.features.feature_reader import ArrowFile
from pipelines.data.images.class_folders import IMAGE_SUFFIXES, class_images, class_names, union
from pipelines.data.images.image_cache import cached_images
from pipelines.data.images.image_options import Colours, ImageInputs, ImageOptions, Resize, Size
from pipelines.data.images.image_sources import column_sources
from strategies.objectives.objective import TargetKind

FOLDER = "folder"
"""The value of `by` for a folder of images in each experience."""


@dataclass(frozen=True)
class ClassFolderReader:
    """A folder with a folder for each class takes the place of a file. An image's id is its path.

    Attributes:
        options: what images become.
        above: whether the folder's own name is part of the paths: it is one of several.
        suffix: none.
    """

    options: ImageOptions
    above: bool = False
    suffix: tuple[str, ...] = ()

    def read(self, location: Location) -> tuple[Table, Table | None]:
        images = class_images(location)
        above = f"{location.name}/" if self.above else ""
        inputs = cached_images([image.source for image in images], self.options)
        ids = np.array([above + image.path for image in images], dtype=object)
        return Table(inputs, np.array([image.label for image in images]), ids), None

    def labels(self, location: Location) -> NDArray[Any]:
        return np.array(class_names(location))


@dataclass(frozen=True)
class ImageTableReader:
    """A table with a column of images: paths from the table's folder on, or the bytes of PNG or JPEG files.

    Attributes:
        options: what images become.
        image: the column of the images.
        columns: those of label and id, and by which rows are divided. Without ids, paths are the ids.
        rows: reads a table.
        suffix: suffixes of tables.
    """

    options: ImageOptions
    image: str
    columns: Columns
    rows: ArrowFile = read_rows
    suffix: tuple[str, ...] = TABLES

    def read(self, location: Location) -> tuple[Table, Table | None]:
        table = self.rows(location, texts=[self.image])
        names = table.column_names
        check_columns([self.image], names, location, "image")
        self.columns.wanted([], names, location)
        labels, groups = self.columns.labels(table, location), self.columns.groups(table, location)
        sources = list(column_sources(table[self.image], self.image, location.path, location.parent))
        ids = None
        if self.columns.id is not None:
            ids = values(table[self.columns.id], self.columns.id, location)
        elif all(isinstance(path, str) for path in table[self.image].to_pylist()):
            ids = values(table[self.image], self.image, location)
        marks = self.columns.marks(table, location)
        return Table(cached_images(sources, self.options), labels, ids, groups=groups, marks=marks), None

    def labels(self, location: Location) -> NDArray[Any]:
        return self.columns.labels(label_table(self.columns, self.rows, location), location)


def load(
    path: str,
    *,
    test: Test | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    size: Size | None = None,
    channels: Colours = "auto",
    resize: Resize = "crop",
    by: By | None = None,
    time: str | None = None,
    image: str = "path",
    label: str | Sequence[str] = "label",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """PNG and JPEG files, local or s3://, in a folder for each class, or listed in a table.

    Images are uint8 (channels, height, width), upright as their EXIF orientation says, and kept decoded in
    ~/.cache/everlearn/images: of at most EVERLEARN_IMAGE_CACHE_GB gigabytes, 10 by default.

    Args:
        path: a folder with a folder for each class, whose name is that of the class; or a table, .csv, .jsonl or
            .parquet, with a column of paths, or a folder of tables, one for each experience.
        test: the test images: a folder with the same folders, or a table. Without it, a fixed part of each class is
            held out for testing.
            {id_hash: 0.2} holds out this share by a hash of the paths instead: an image stays on its side when others
            are added.
        test_fraction: share of each class that is held out for testing.
        size: to which images are brought: pixels of a square, or [height, width]. Without it all must have the same.
        channels: `grey` or `rgb`, to which images are brought; `auto`: all must have those of the first.
        resize: how an image of other proportions becomes one of the size: `crop` cuts at its longer side, `stretch`
            distorts, `pad` adds black bars.
        by: `folder`, where path has a folder for each experience, in natural order, with the folders of classes in it.
            In a table, the column by whose values it is divided into experiences, or {time: month}, or day, week,
            quarter, year: the periods of its column `time`. Without it a stream is split by class.
        time: in a table: column of dates and times.
        image: in a table: column of paths, which begin at the table's folder, or of the bytes of image files.
        label: in a table: column of the labels; with objective: regression or multi-label a column of numbers, or
            several.
        id: in a table: column of the ids, whole numbers or text; by default paths are the ids.
        classes: number of classes, or the names in the order of the classes; by default those of the training images,
            names of folders in natural order. Set it where more classes are to come: it decides the size of the model's
            head.
    """
    options = ImageOptions.of(size, channels, resize)
    where = Location.of(path)
    if _in_tables(where):
        columns = Columns.of((), label, id, by, time)
        reader = ImageTableReader(options, image, columns)
        files = TableFiles.of(reader, path, test, test_fraction, classes, None, "first", from_training=True)
        found = files.learning(target_kind, columns.label_names, columns.by).load("image-folder")
        return with_images(found, resize, image)
    if target_kind != "classes":
        raise DataError(
            f"{where.path}: folders are classes, and the objective learns columns: name a table in dataset.path"
        )
    if by not in (None, FOLDER):
        raise DataError(f"{where.path}: a folder is divided by its folders: set dataset.by: {FOLDER}, not {by!r}")
    folders = ClassFolderReader(options, above=by == FOLDER)
    files = TableFiles.of(folders, path, test, test_fraction, classes, None, "first", from_training=True)
    if files.test is not None and not files.test.is_folder():
        raise DataError(f"{files.test.path}: is a file, but dataset.path is a folder: name a folder in dataset.test")
    if by is None:
        named = classes if classes is not None else class_names(where)
        return with_images(replace(files, classes=named).single("image-folder"), resize, image)
    experiences = where.folders()
    if not experiences:
        raise DataError(f"{where.path}: has no folder of an experience (dataset.by: {FOLDER})")
    tests = None if files.test is None else _tests(experiences, files.test)
    named = classes if classes is not None else union(experiences)
    found = FileExperiences("image-folder", replace(files, classes=named), experiences, tests)
    return with_images(found, resize, image)


def blocks(
    store: IndexStore | None,
    path: str,
    test: str | TestPart | None,
    test_fraction: float,
    size: Size | None,
    channels: Colours,
    resize: Resize,
    by: str | TimePeriods | None,
    time: str | None,
    image: str,
    label: str | Sequence[str],
    id: str | None,  # noqa: A002 (the option's name)
    classes: int | Sequence[int | str] | None,
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """The same, decoded by blocks of files or of rows of a table when they are needed, for streams with `lanes`.

    Images of which a part is for testing (`{id_hash: 0.2}`), or which a packed table lists, lie in memory.

    Args:
        store: keeps the index of the blocks.

    Raises:
        DataError: as `load`.
    """
    where = Location.of(path)
    options, tables = ImageOptions.of(size, channels, resize), _in_tables(where)
    if tables and not isinstance(test, TestPart) and not _packed(where):
        columns = Columns.of((), label, id, by, time)
        listed = ImageTableBlocks(options, image, columns, target_kind)
        files = TableFiles.of(listed, path, test, test_fraction, classes, None, "first", from_training=True)
        files = files.learning(target_kind, columns.label_names, columns.by)
        return with_images(load_blocks("image-folder", listed, files, store), resize, image)
    if tables or target_kind != "classes" or isinstance(test, TestPart):
        return load(
            path, test=test, test_fraction=test_fraction, size=size, channels=channels, resize=resize, by=by, time=time,
            image=image, label=label, id=id, classes=classes, target_kind=target_kind,
        )  # fmt: skip
    if by not in (None, FOLDER):
        raise DataError(f"{where.path}: a folder is divided by its folders: set dataset.by: {FOLDER}, not {by!r}")
    reader = ImageBlocks(options, above=by == FOLDER)
    files = TableFiles.of(reader, path, test, test_fraction, classes, None, "first", from_training=True)
    experiences = [where] if by is None else where.folders()
    if not experiences:
        raise DataError(f"{where.path}: has no folder of an experience (dataset.by: {FOLDER})")
    named = classes if classes is not None else union(experiences)
    made = BlockFiles("image-folder", reader, replace(files, classes=named), BlockIndex(reader, store))
    if by is None:
        return with_images(made.single(where, files.test), resize, image)
    tests = None if files.test is None else {one: [one] for one in _tests(experiences, files.test)}
    return with_images(made.experiences({one: [one] for one in experiences}, tests), resize, image)


BLOCKS = blocks


def with_images(dataset: Dataset | ExperienceDataset, resize: Resize, column: str) -> Dataset | ExperienceDataset:
    """The dataset, which says how images become the inputs of its models."""
    images = ImageInputs.of(dataset.input_shape, resize, column)
    if isinstance(dataset, Dataset):
        return replace(dataset, images=images)
    dataset.images = images
    return dataset


def _in_tables(where: Location) -> bool:
    """Whether images are listed in a table, or in one for each experience."""
    if not where.is_folder():
        if not where.name.lower().endswith(TABLES):
            raise DataError(f"{where.path}: must be a folder of images, or a table of paths: {', '.join(TABLES)}")
        return True
    if where.folders():
        return False
    return any(file.name.lower().endswith(TABLES) for file, _ in where.walk())


def _packed(where: Location) -> bool:
    """Whether a table is packed, so that it is read as a whole."""
    tables = where.files(TABLES) if where.is_folder() else [where]
    return any(table.name.lower().endswith(".gz") for table in tables)


def _tests(experiences: Sequence[Location], test: Location) -> list[Location]:
    there = {folder.name: folder for folder in test.folders()}
    missing = [folder.name for folder in experiences if folder.name not in there]
    if missing:
        raise DataError(f"{test.path}: has no folder of the experience {', '.join(missing[:5])}")
    return [there[folder.name] for folder in experiences]


def _found_in(path: str) -> Found | None:
    """Options for a folder with class folders of images, or None."""
    where = Location.of(path)
    parts = {folder.name.lower(): folder for folder in where.folders()}
    train = parts.get("train", where)
    images = [file for file, _ in train.walk() if file.name.lower().endswith(IMAGE_SUFFIXES)]
    if not images or not train.folders():
        return None
    names = class_names(train)
    own = path.rstrip("/") or path
    options: dict[str, Any] = {"path": own if train is where else f"{own}/{train.name}"}
    if train is not where and "test" in parts:
        options["test"] = f"{own}/{parts['test'].name}"
    options |= {"size": 32, "channels": "rgb"}
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return options, [
        f"{len(images):,} images in folders of {len(names)} classes: {shown}",
        "Images are brought to 32x32 RGB: set size and channels as you need them",
    ]


INIT_FORMAT = FolderFormat("PNG or JPEG images in a folder for each class", _found_in)

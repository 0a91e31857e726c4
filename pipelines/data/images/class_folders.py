"""The images of a folder that has a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location, natural_order
from pipelines.data.images.image_sources import ImageSource, file_source

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")

_OF_THE_SYSTEM = ("thumbs.db", "desktop.ini")
_PARTS = ("train", "test", "training", "testing", "val", "valid", "validation")


@dataclass(frozen=True)
class ClassImage:
    """An image in the folder of its class.

    Attributes:
        label: name of the class's folder.
        path: from the folder of all classes on.
        source: its bytes.
    """

    label: str
    path: str
    source: ImageSource


def class_names(folder: Location) -> list[str]:
    """The names of a folder's folders, in natural order.

    Raises:
        DataError: there are none, or they are those of parts for training and testing.
    """
    names = [found.name for found in folder.folders()]
    if not names:
        raise DataError(
            f"{folder.path}: the folder has no folders of classes. Put the images of each class into a folder of its "
            "name, or name a table with a column of paths in dataset.path"
        )
    if {name.lower() for name in names} <= set(_PARTS):
        test = next((name for name in names if name.lower().startswith("test")), None)
        further = f", and dataset.test: {folder.path}/{test}" if test is not None else ""
        raise DataError(
            f"{folder.path}: has the folders {', '.join(names)}, which are parts and no classes: name the one with the "
            f"training images in dataset.path{further}"
        )
    return names


def class_images(folder: Location) -> list[ClassImage]:
    """All images in the folders of classes, and in folders below them, classes and images in natural order.

    Raises:
        DataError: a class has no images, or a file is no image; the message names it.
    """
    names = class_names(folder)
    found: dict[str, list[ClassImage]] = {name: [] for name in names}
    for location, state in folder.walk():
        path = location.path.removeprefix(f"{folder.path}/")
        label, below, _ = path.partition("/")
        if not below:
            if path.lower().endswith(IMAGE_SUFFIXES):
                raise DataError(f"{location.path}: lies beside the folders of the classes: put it into one of them")
            continue
        if location.name.lower() in _OF_THE_SYSTEM:
            continue
        if not path.lower().endswith(IMAGE_SUFFIXES):
            raise DataError(
                f"{location.path}: is no image ({', '.join(IMAGE_SUFFIXES)}): convert it, or move it elsewhere"
            )
        found[label].append(ClassImage(label, path, file_source(location, state)))
    empty = [name for name in names if not found[name]]
    if empty:
        raise DataError(f"{folder.path}/{empty[0]}: the class has no images: add some, or remove the folder")
    return [image for name in names for image in sorted(found[name], key=lambda image: natural_order(image.path))]


def folder_images(folder: Location) -> list[tuple[str, ImageSource]]:
    """All images below a folder, by their paths from it on, whatever its folders are. Other files are left out.

    Raises:
        DataError: there are none.
    """
    found = [
        (location.path.removeprefix(f"{folder.path}/"), file_source(location, state))
        for location, state in folder.walk()
        if location.name.lower().endswith(IMAGE_SUFFIXES)
    ]
    if not found:
        raise DataError(f"{folder.path}: the folder has no images ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(found, key=lambda one: natural_order(one[0]))


def union(folders: Sequence[Location]) -> list[str]:
    """The class names of several folders, in natural order."""
    return sorted({name for folder in folders for name in class_names(folder)}, key=natural_order)

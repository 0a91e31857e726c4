"""Threads that look at files: results in order, and the error of the first file that has one."""

from __future__ import annotations

import threading

import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_index import IndexedFile
from pipelines.data.blocks.index_executor import in_threads
from pipelines.data.datasets.location import FileState, Location

FILES = [IndexedFile.unseen(Location(f"/{n}"), FileState(n, 0)) for n in range(5)]


@pytest.mark.parametrize("most", [1, 4])
def test_results_come_in_the_order_of_the_files(most: int) -> None:
    third = threading.Event()

    def look(file: IndexedFile) -> IndexedFile:
        if most > 1 and file is FILES[0]:
            assert third.wait(30)  # a later one is done before it
        elif file is FILES[1]:
            third.set()
        return file

    assert list(in_threads(look, FILES, most)) == FILES
    assert list(in_threads(look, [], most)) == []


@pytest.mark.parametrize("most", [1, 4])
def test_the_error_is_that_of_the_first_file_that_has_one(most: int) -> None:
    def look(file: IndexedFile) -> IndexedFile:
        if file.state.bytes > 1:
            raise DataError(file.location.path)
        return file

    found = []
    with pytest.raises(DataError, match=r"^/2$"):
        found.extend(in_threads(look, FILES, most))

"""Data that is written whole or not at all, on this machine and in a real S3 server."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.new_target import new_target
from pipelines.data.blocks.shuffle_rows import Shuffling, shuffle
from pipelines.data.datasets.location import Location
from tests.pipelines.data.blocks.block_files import rows, write


def killed(target: str) -> None:
    """Write a file into a new folder in a process that is killed before it has ended."""
    program = (
        "import os, sys\n"
        "from pipelines.data.blocks.new_target import new_target\n"
        "from pipelines.data.datasets.location import Location\n"
        "with new_target(Location(sys.argv[1]), folder=True) as (made, _):\n"
        "    made.mkdir()\n"
        "    (made / 'a.parquet').write_bytes(b'a')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, target], check=False).returncode == -signal.SIGKILL


def fails(target: Location, *, folder: bool) -> None:
    with pytest.raises(ZeroDivisionError), new_target(target, folder=folder) as (made, _):
        (made / "a" if folder else made).parent.mkdir(exist_ok=True)
        (made / "a" if folder else made).write_bytes(b"a")
        raise ZeroDivisionError


def test_a_local_target_is_there_when_it_is_whole(tmp_path: Path) -> None:
    target = Location(str(tmp_path / "below" / "new"))
    fails(target, folder=True)
    assert list((tmp_path / "below").iterdir()) == []
    killed(target.path)
    assert not target.exists()
    with new_target(target, folder=False) as (made, _):
        made.write_bytes(b"all")
    assert (tmp_path / "below" / "new").read_bytes() == b"all"
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match="below: cannot be written"),
        new_target(Location(str(tmp_path / "file" / "below")), folder=True),
    ):
        pass


@pytest.mark.s3
def test_a_target_in_s3_has_the_bytes_of_a_local_one_or_is_refused(s3_uri: str, tmp_path: Path) -> None:
    bucket = s3_uri.removeprefix("s3://")

    def keys() -> list[str]:
        found = boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
        return [one["Key"] for one in found if not one["Key"].endswith("/")]

    for week in (1, 2):
        for day in (1, 2):
            (tmp_path / f"a/week{week}").mkdir(parents=True, exist_ok=True)
            write(tmp_path / f"a/week{week}/{day}.parquet", *rows(90, week), (50, 40))
    for source, target in (("a", "b"), ("a/week1/1.parquet", "c.parquet")):
        for place in (str(tmp_path / target), f"{s3_uri}/{target}"):
            made = shuffle(Location(str(tmp_path / source)), Location(place), Shuffling(), lambda *_: None)
            assert all(path.startswith(place) for path in made)
    wanted = ["b/week1/0.parquet", "b/week2/0.parquet", "c.parquet"]
    assert keys() == wanted
    for key in wanted:
        data = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        assert data == (tmp_path / key).read_bytes()
    with pytest.raises(DataError, match=r"c\.parquet: exists already"):
        shuffle(Location(f"{s3_uri}/b"), Location(f"{s3_uri}/c.parquet"), Shuffling(), lambda *_: None)
    fails(Location(f"{s3_uri}/d"), folder=True)
    fails(Location(f"{s3_uri}/d.parquet"), folder=False)
    assert keys() == wanted
    killed(f"{s3_uri}/d")
    for look in (Location.folders, lambda place: place.files(".parquet")):
        with pytest.raises(DataError, match=r"/d: not all of its files were written: .*\. Remove the folder"):
            look(Location(f"{s3_uri}/d"))
    with pytest.raises(DataError, match="cannot be written: there is no such bucket"):
        shuffle(Location(f"{s3_uri}/b/week1"), Location("s3://no-such-bucket/a/b"), Shuffling(), lambda *_: None)

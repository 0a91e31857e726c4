"""`everlearn shuffle`: what it says, and its exit status where it cannot."""

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import documented
from tests.pipelines.data.blocks.block_files import rows, write


def test_a_file_is_rewritten_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(write(tmp_path / "a.parquet", *rows(30, 0), (10, 20)))
    target = str(tmp_path / "b.parquet")
    assert invoke(["shuffle", source, target]) == 0
    assert capsys.readouterr().out == f"{target}: 30 rows\n"
    assert invoke(["shuffle", source, target]) == 2
    assert f"{target}: exists already: remove it, or choose another name" in capsys.readouterr().err
    other = str(tmp_path / "c.parquet")
    assert documented(capsys, 0, "shuffle", source, other, "--rows", "9") == {"files": [{"path": other, "rows": 30}]}
    assert (tmp_path / "c.parquet").stat().st_size > Path(target).stat().st_size

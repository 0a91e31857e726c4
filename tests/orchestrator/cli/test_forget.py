"""`everlearn forget`: what it says, in words and in JSON, its exit statuses, and how it reads ids."""

from pathlib import Path

import pytest

from orchestrator.cli.forget import read_ids
from orchestrator.cli.main import invoke
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.maintenance.lineages import grow, memory_ids, occurs, sample_bytes


def test_forget_says_what_it_does_and_what_it_does_not(lineage: Lineage, capsys: pytest.CaptureFixture[str]) -> None:
    chain = grow(lineage, 2)
    victim = memory_ids(lineage, chain[1])[0]
    Path("ids.txt").write_text(f"{victim}\n\n  999999 \n")
    with claimed(lineage, "run"):
        assert invoke(["forget", "p.yaml", "--ids", "ids.txt"]) == 3
    capsys.readouterr()
    assert invoke(["forget", "p.yaml", "--ids", "ids.txt"]) == 0
    out = capsys.readouterr().out
    assert "1 sample removed" in out
    assert "The models keep what they learned" in out and "everlearn run p.yaml" in out
    assert occurs(lineage, sample_bytes(victim)) == []
    assert documented(capsys, 0, "forget", "p.yaml")["commits"] == []
    assert invoke(["log", "p.yaml"]) == 0
    assert "1 sample forgotten" in capsys.readouterr().out
    newest = documented(capsys, 0, "log", "p.yaml")["commits"][0]
    assert newest["forgotten"][0]["samples"] == 1
    assert invoke(["show", "latest"]) == 0
    assert "1 sample of its memories" in capsys.readouterr().out
    lineage.store.put(f"digits/commits/{'0' * 64}.json", b"junk")
    assert invoke(["forget", "p.yaml", "--ids", "ids.txt"]) == 1
    assert "may still hold some of the samples" in capsys.readouterr().out


def test_ids_in_a_file(tmp_path: Path) -> None:
    import numpy as np

    from pipelines.data.datasets.labels import id_numbers

    file = tmp_path / "ids"
    file.write_text("3\n-5\n3\n9223372036854775807\n")
    assert read_ids(file) == [3, -5, 2**63 - 1]
    file.write_bytes(b"\xef\xbb\xbf3\r\n-5\r\n")  # as an editor on Windows writes it
    assert read_ids(file) == [3, -5]
    file.write_text("anna@example.org\n17\n")
    assert read_ids(file) == id_numbers(np.array(["anna@example.org", "17"], dtype=object), "").tolist()
    file.write_text("17\n")
    assert read_ids(file, text=True) == id_numbers(np.array(["17"], dtype=object), "").tolist()
    for wrong in (b"", b"\n \n", b"9223372036854775808\n", b"\xff\xfe\x00"):
        file.write_bytes(wrong)
        with pytest.raises(PipelineError):
            read_ids(file)
    with pytest.raises(PipelineError, match="No such file"):
        read_ids(tmp_path / "missing")

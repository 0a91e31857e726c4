"""Breaks readers and checks, one at a time, in a copy of the tree, and says which break no test notices.

    python -m tests.mutations              # all; some minutes
    python -m tests.mutations tensors gc   # those whose file or text contains one of the words

A mutation is a line of code and what takes its place, with the tests that have to fail. Where the code has changed so
that the line is not found, the mutation is named, and the exit status is 1, as with a survivor.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "site")


@dataclass(frozen=True)
class Mutation:
    """What is broken.

    Attributes:
        file: of the tree.
        old, new: text that occurs once in it, and what takes its place.
        tests: files or folders below `tests`, one of whose tests has to fail.
    """

    file: str
    old: str
    new: str
    tests: str

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.old.split())}  ->  {' '.join(self.new.split())}"


TENSORS, CHECKPOINT = "orchestrator/storage/tensors.py", "orchestrator/checkpointing/checkpoint.py"
COMMIT, LINEAGE = "orchestrator/lineage/commit.py", "orchestrator/lineage/lineage.py"
JSON, FORGOTTEN = "orchestrator/lineage/canonical_json.py", "orchestrator/lineage/forgotten_ids.py"
SHARDS, FSCK = "orchestrator/maintenance/check_shards.py", "orchestrator/maintenance/check_store.py"
GC, COPY = "orchestrator/maintenance/collect_garbage.py", "orchestrator/maintenance/copy_store.py"
IDX, NPZ, COLUMNS = (f"pipelines/data/datasets/{name}.py" for name in ("idx_format", "npz_reader", "arrow_columns"))

MUTATIONS = (
    Mutation(
        TENSORS, "if start + expected != len(data):", "if start + expected > len(data):", "storage/test_tensors.py"
    ),
    Mutation(TENSORS, "if begin != expected or end - begin", "if end - begin", "storage/test_tensors.py"),
    Mutation(TENSORS, "if len(found) != len(pairs):", "if False:", "storage/test_tensors.py"),
    Mutation(TENSORS, "if length > LARGEST_HEADER:", "if False:", "storage/test_tensors.py"),
    Mutation(TENSORS, "if dtype == torch.bool and (raw > 1).any():", "if False:", "storage/test_tensors.py"),
    Mutation(TENSORS, "if missing or unknown:", "if missing:", "storage/test_tensors.py"),
    Mutation(CHECKPOINT, "if type(value) is not int or not 0 <= value < 2**63:", "if value is None:", "checkpointing"),
    Mutation(CHECKPOINT, 'if metadata["format"] != _FORMAT:', "if False:", "checkpointing/test_checkpoint.py"),
    Mutation(
        CHECKPOINT,
        'if f"-{hashlib.sha256(data).hexdigest()}." not in key:',
        "if not data:",
        "checkpointing/test_checkpoint.py",
    ),
    Mutation(COMMIT, '!= document.get("checksum"):', "== 0:", "lineage/test_commit.py"),
    Mutation(COMMIT, "if made != self.id:", "if False:", "lineage/test_commit.py"),
    Mutation(COMMIT, "if expected is not None and self.id != expected:", "if False:", "lineage"),
    Mutation(JSON, "if len(found) != len(pairs):", "if False:", "lineage/test_canonical_json.py"),
    Mutation(JSON, "if _depth(value) > DEEPEST:", "if False:", "lineage/test_canonical_json.py"),
    Mutation(JSON, 'raise ValueError(f"{constant} is no JSON")', "return None", "lineage/test_canonical_json.py"),
    Mutation(LINEAGE, "if hashlib.sha256(data).hexdigest() != sha256:", "if False:", "lineage/test_lineage.py"),
    Mutation(LINEAGE, "if type(generation) is not int or not 0 < generation < 2**53:", "if False:", "lineage"),
    Mutation(LINEAGE, "layout.checked_sha256(commit)\n", "pass\n", "lineage/test_lineage.py"),
    Mutation(
        FORGOTTEN,
        'rf"^[0-9a-f]{{{2 * _HASH_BYTES}}}$")]]',
        'r"^[0-9a-f]*$")]]',
        "lineage/test_forgotten_ids.py",
    ),
    Mutation(FORGOTTEN, "self.hashes | {salted", "{salted", "lineage/test_forgotten_ids.py"),
    Mutation(SHARDS, "if len(ids.unique()) != len(ids):", "if False:", "maintenance/test_check_shards.py"),
    Mutation(SHARDS, "if length > held.get(group, 0):", "if False:", "maintenance/test_check_shards.py"),
    Mutation(
        FSCK,
        'if problem:\n                    self._hit(key, f"memory',
        'if False:\n                    self._hit(key, f"memory',
        "maintenance/test_check_store.py",
    ),
    Mutation(FSCK, "stored.bytes != size:", "stored.bytes < 0:", "maintenance/test_check_store.py"),
    Mutation(
        FSCK, "if commit.parent is not None and commit.parent not in", "if None in", "maintenance/test_check_store.py"
    ),
    Mutation(GC, "kept |= _with_ancestors(others, nodes)", "kept |= others", "maintenance/test_collect_garbage.py"),
    Mutation(GC, "if s not in needed and e.modified <= limit}", "if s not in needed}", "maintenance"),
    Mutation(GC, "node.parent in tips}", "False}", "maintenance/test_collect_garbage.py"),
    Mutation(COPY, "== sha256\n", "!= ''\n", "maintenance/test_copy_store.py"),
    Mutation(
        "orchestrator/storage/folder_store.py",
        "if current is None or current[1] != version:",
        "if current is None:",
        "storage/test_store.py",
    ),
    Mutation(
        "orchestrator/checkpointing/evaluation_record.py",
        "or len(bits) != -(-count.total // 8):",
        "or False:",
        "checkpointing/test_evaluation_record.py",
    ),
    Mutation("orchestrator/lineage/decisions.py", '!= document.get("checksum"):', "== 0:", "lineage/test_decisions.py"),
    Mutation(
        "pipelines/data/datasets/image_folder.py",
        "experiences = where.folders()\n    if not experiences:",
        "experiences = where.folders()\n    if False:",
        "datasets/test_image_folder.py",
    ),
    Mutation(IDX, "if len(values) != expected:", "if len(values) < expected:", "datasets/test_idx_format.py"),
    Mutation(IDX, "not unpacker.eof:", "False:", "datasets/test_idx_format.py"),
    Mutation(NPZ, "if needed > memory():", "if False:", "datasets/test_npz.py"),
    Mutation(NPZ, "if zlib.crc32(content, checksum) != entry.CRC:", "if False:", "datasets/test_npz.py"),
    Mutation(NPZ, "allow_pickle=False", "allow_pickle=True", "datasets/test_npz.py"),
    Mutation(
        COLUMNS,
        "if ragged and not (column.value_lengths().to_numpy() == length).all():",
        "if False:",
        "datasets/test_parquet.py",
    ),
    Mutation(COLUMNS, "if column.null_count:", "if False:", "datasets/test_parquet.py"),
)

PLACES = ("orchestrator", "pipelines/data", "strategies")


def survivors(chosen: list[Mutation]) -> list[str]:
    """Apply each to a copy of the tree, run its tests there, and say which did no harm."""
    found = []
    with tempfile.TemporaryDirectory(prefix="everlearn-mutations-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
        for mutation in chosen:
            path = copy / mutation.file
            text = path.read_text(encoding="utf-8")
            if text.count(mutation.old) != 1:
                found.append(f"not found: {mutation}")
                continue
            path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
            noticed = _tests_fail(copy, mutation.tests)
            path.write_text(text, encoding="utf-8")
            print("noticed  " if noticed else "SURVIVED ", mutation, flush=True)
            if not noticed:
                found.append(f"survived: {mutation}")
    return found


def _tests_fail(copy: Path, tests: str) -> bool:
    places = [path for place in PLACES if (path := copy / "tests" / place / tests).exists()]
    assert places, f"there are no tests {tests}"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-m",
        "not s3 and not slow",
    ]
    done = subprocess.run([*command, *map(str, places)], cwd=copy, capture_output=True, text=True, check=False)
    # 1: tests failed; 2: they could not be collected, which is as good.
    assert done.returncode in (0, 1, 2), done.stdout[-3000:] + done.stderr[-3000:]
    return done.returncode != 0


def main(words: list[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if not words or any(word in str(mutation) for word in words)]
    found = survivors(chosen)
    print(f"{len(chosen)} mutations, {len(found)} not noticed", *found, sep="\n  ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Data never becomes code: nothing in the packages unpickles, evaluates, or loads YAML with constructors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torch.serialization"}
NAMES = {"eval", "exec", "compile", "__import__"}
# Called on something else these are harmless (`re.compile`, `Thread.run`); on these modules they are not.
CALLS = {
    "torch": {"load", "hub"},
    "yaml": {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"},
    "os": {"system", "popen"},
}


# A command and the processes that it starts itself talk over pipes; nothing from a store or a file passes there as a
# pickle.
OWN_PROCESSES = {
    "orchestrator/tracking/tracking_process.py",
    "orchestrator/tuning/process_pool.py",
    "orchestrator/tuning/trial_process.py",
}
# PyTorch's reader of tensors alone gives its refusal the class of pickle's error.
NAMES_THE_ERROR = {"pipelines/models/trained_weights.py"}


def sources() -> list[Path]:
    return sorted(
        path for package in ("orchestrator", "pipelines", "strategies") for path in (ROOT / package).rglob("*.py")
    )


def _of_tensors_alone(node: ast.AST) -> bool:
    """Whether it is `torch.load(..., weights_only=True)`, which builds nothing but tensors."""
    return isinstance(node, ast.Call) and any(
        k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value is True for k in node.keywords
    )


def _unpickles(module: str) -> bool:
    """Also where another package has it, such as `ray.cloudpickle`."""
    return module in MODULES or module.rpartition(".")[2] in MODULES


def dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    safe = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _of_tensors_alone(node)}
    for node in ast.walk(tree):
        if id(node) in safe:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if _unpickles(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            if _unpickles(node.module):
                yield node.lineno, node.module
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in MODULES)
            yield from (
                (node.lineno, f"{node.module}.{alias.name}")
                for alias in node.names
                if alias.name in CALLS.get(node.module, set())
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in CALLS.get(node.value.id, set()):
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in NAMES:
                yield node.lineno, node.func.id
            for keyword in node.keywords:
                constant = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if (keyword.arg, constant) in (("allow_pickle", True), ("weights_only", False), ("shell", True)):
                    yield node.lineno, f"{keyword.arg}={constant}"


def test_nothing_turns_data_into_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sources()
        for line, what in dangers(ast.parse(path.read_text()))
        if not (what == "pickle" and str(path.relative_to(ROOT)) in OWN_PROCESSES | NAMES_THE_ERROR)
    ]
    assert found == []


def test_the_search_finds_what_it_looks_for() -> None:
    code = "import pickle\nfrom yaml import load\ntorch.load(f)\neval(x)\nnp.load(f, allow_pickle=True)\nre.compile(x)"
    code += "\ntorch.load(f, weights_only=True)\ntorch.load(f, weights_only=False)"
    code += "\nfrom ray import cloudpickle\nimport ray.cloudpickle"
    assert sorted({line for line, _ in dangers(ast.parse(code))}) == [1, 2, 3, 4, 5, 8, 9, 10]

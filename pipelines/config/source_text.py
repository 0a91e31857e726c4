"""What a built-in component says of itself, read from its source: naming the built-ins imports none of them."""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def declared_text(path: str, attribute: str) -> str:
    """A class attribute that is a plain text, as the class at `path` or the nearest of its bases has it; "" without.

    Args:
        path: `package.module:Name` of a class.
        attribute: such as `family`.
    """
    module, _, name = path.partition(":")
    tree = _tree(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for statement in node.body:
                if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
                    (target,) = statement.targets
                    if isinstance(target, ast.Name) and target.id == attribute:
                        return str(statement.value.value)
            found = (declared_text(_home(tree, module, base.id), attribute) for base in _bases(node))
            return next(filter(None, found), "")
    return ""


def first_line(path: str) -> str:
    """The first line of the docstring of the class or function at `path`; "" without one."""
    module, _, name = path.partition(":")
    for node in _tree(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


@cache
def _tree(module: str) -> ast.Module:
    """A module's source; that of PyTorch and others says nothing of components, and is not read."""
    # `find_spec` imports the packages above a module, which are small here.
    if module.partition(".")[0] not in ("pipelines", "strategies"):
        return ast.Module([], [])
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ast.Module([], [])
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _bases(node: ast.ClassDef) -> list[ast.Name]:
    return [base for base in node.bases if isinstance(base, ast.Name)]


def _home(tree: ast.Module, module: str, name: str) -> str:
    """`package.module:Name` of a name in a module: where it is imported from, else the module itself."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return f"{node.module}:{alias.name}"
    return f"{module}:{name}"

"""Which code and which data made a result: hashes that change only when the result may change.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
# An error's wording changes no result.
_WITHOUT_EFFECT = {"hipoa.errors"}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_hash(module: str) -> str:
    """A hash of a module and of all hipoa modules that it imports, however far down.

    Comments, docstrings and layout do not count: `ast.unparse` gives the same text for them, on
    every Python version. Imports within functions do count.

    Args:
        module: The dotted name of a stage's module, such as ``hipoa.imaging.project``.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(module)):
        digest.update(f"{name}\n{_code(name)}\n".encode())
    return digest.hexdigest()[:16]


def _closure(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in _WITHOUT_EFFECT:
            found.add(name)
            waiting += _imports(ast.parse(_source(name).read_text(encoding="utf-8")))
    return found


def _imports(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from hipoa.imaging import project` names a module, `from hipoa.errors import X` does not.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    # A package's own file holds a docstring at most, so it cannot change a result.
    return [name for name in names if name.startswith("hipoa.") and _source(name).is_file()]


def _source(module: str) -> Path:
    return _PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")


def _code(module: str) -> str:
    tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)

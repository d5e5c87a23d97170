"""Which code and which data made a result: hashes that change only when the result may change.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent.parent
# An error's wording changes no result.
_WITHOUT_EFFECT = {"hipoa.errors"}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_hash(module: str, root: Path = _ROOT) -> str:
    """A hash of a module and of all hipoa modules that it imports, however far down.

    Comments, docstrings and layout do not count: what counts is the text that `ast.unparse` gives. Imports
    within functions do count. Where the package lies does not.

    Args:
        module: The dotted name of a stage's module, such as ``hipoa.imaging.project``.
        root: The folder in which the package ``hipoa`` lies.

    Returns:
        16 hexadecimal digits.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in _WITHOUT_EFFECT:
            found[name], imports = _parse(name, root)
            waiting += imports
    text = "\n".join(f"{name}\n{found[name]}" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _parse(module: str, root: Path) -> tuple[str, list[str]]:
    """A module's code without its texts, and the hipoa modules that it imports."""
    tree = ast.parse(_source(module, root).read_text(encoding="utf-8"))
    names = [name for node in ast.walk(tree) for name in _imported(node, module)]
    # A package's own file holds a docstring at most, so it cannot change a result.
    imports = [name for name in names if name.startswith("hipoa.") and _source(name, root).is_file()]
    return ast.unparse(_WithoutTexts().visit(tree)), imports


def _imported(node: ast.AST, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = module.split(".")[: -node.level] if node.level else []
    parent = ".".join([*above, *([node.module] if node.module else [])])
    # `from hipoa.imaging import project` names a module, `from hipoa.errors import X` does not.
    return [parent, *(f"{parent}.{alias.name}" for alias in node.names)]


def _source(module: str, root: Path) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


class _WithoutTexts(ast.NodeTransformer):
    """Drops docstrings, of constants too, and takes f-strings apart; what is left need not be valid code."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        # Python 3.12 quotes within an f-string otherwise than 3.11: a tuple of its parts is the same text.
        return self.generic_visit(ast.Tuple(node.values, ast.Load()))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        parts = [node.value, ast.Constant(node.conversion), *([node.format_spec] if node.format_spec else [])]
        return self.generic_visit(ast.Tuple(parts, ast.Load()))

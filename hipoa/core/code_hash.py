"""Hashes of the code that made a result, which change only when the result may change.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).parents[2]
# Tests pin the bytes that core reads and writes, and fingerprints of the tables show what it reads otherwise:
# of core only the constants count.
_WITHOUT_EFFECT = re.compile(r"hipoa\.core\.(?!constants$).*")
_WHOLE = "*"


class Statement(NamedTuple):
    """A statement at the top of a module: the names that it defines and uses, what it imports, its text."""

    defines: set[str]
    uses: set[str]
    imports: list[str]
    text: str


@cache
def code_hash(module: str, root: Path = _ROOT) -> str:
    """A hash of a module and of all hipoa modules that it imports, however far down.

    Of ``hipoa.core`` the constants alone count. Comments, docstrings and layout do not count: what counts is
    the text that `ast.unparse` gives. Imports within functions do count. Where the package lies does not. Of
    a module from which only constants are imported, names in capitals, these count alone and what they use,
    and likewise models of a room's ``settings``: a new option of `predict` retrains nothing.

    Args:
        module: The dotted name of a stage's module, such as ``hipoa.imaging.project``.
        root: The folder in which the package ``hipoa`` lies.

    Returns:
        16 hexadecimal digits.
    """
    parts: dict[str, set[str]] = {}
    waiting = [(module, _WHOLE)]
    while waiting:
        name, part = waiting.pop()
        if not _WITHOUT_EFFECT.fullmatch(name) and part not in parts.setdefault(name, set()):
            parts[name].add(part)
            waiting += _find_modules(name, part, root)
    text = "\n".join(f"{name}\n{_join(name, frozenset(parts[name]), root)}" for name in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _read(module: str, root: Path) -> list[Statement]:
    """The statements of a module but for its texts; once for all stages, for this takes longest."""
    tree = ast.parse(_source(module, root).read_text(encoding="utf-8"))
    return [_describe(node, module) for node in tree.body if not _is_text(node)]


@cache
def _pick(module: str, part: str, root: Path) -> list[Statement]:
    """The statements that define a name and the names that those use, and whatever else runs on import."""
    rest = _read(module, root)
    if part == _WHOLE:
        return rest
    names, picked = {part}, []
    while new := [one for one in rest if one.defines & names or not one.defines]:
        picked += new
        rest = [one for one in rest if one not in new]
        names = names.union(*(one.uses for one in new))
    return picked


@cache
def _join(module: str, parts: frozenset[str], root: Path) -> str:
    picked = {id(one) for part in parts for one in _pick(module, part, root)}
    return "\n".join(one.text for one in _read(module, root) if id(one) in picked)


@cache
def _find_modules(module: str, part: str, root: Path) -> list[tuple[str, str]]:
    """The hipoa modules that a part of a module imports, and what of each: a name, or the whole."""
    found: list[tuple[str, str]] = []
    for name in (name for one in _pick(module, part, root) for name in one.imports):
        parent, _, attribute = name.rpartition(".")
        # A package's own file holds a docstring at most, so it cannot change a result.
        if _source(name, root).is_file():
            found.append((name, _WHOLE))
        elif _source(parent, root).is_file():
            alone = attribute.isupper() or parent.endswith(".settings")
            found.append((parent, attribute if alone else _WHOLE))
    return found


def _source(module: str, root: Path) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


def _describe(statement: ast.stmt, module: str) -> Statement:
    """A statement without docstrings, of constants too, and with f-strings taken apart.

    By hand: with ast.NodeTransformer and ast.walk all hashes take 1.4 times as long, in every cluster job.
    """
    uses, imports = set(), []
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            uses.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports += [name for name in _list_imported(node, module) if name.startswith("hipoa.")]
        waiting += _strip(node)
    return Statement(_list_defined(statement), uses, imports, ast.unparse(statement))


def _strip(node: ast.AST) -> Iterator[ast.AST]:
    """Drops the texts of a node and takes its strings apart; yields what is left, not always valid code."""
    for name in node._fields:
        value = getattr(node, name)
        if isinstance(value, list):
            value[:] = [_split_string(each) for each in value if not _is_text(each)]
            yield from (each for each in value if isinstance(each, ast.AST))
        elif isinstance(value, ast.AST) and value._fields:
            value = _split_string(value)
            setattr(node, name, value)
            yield value


def _list_imported(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    above = module.split(".")[: -node.level] if node.level else []
    parent = ".".join([*above, *([node.module] if node.module else [])])
    # `from hipoa.imaging import project` names a module, `from hipoa.core.errors import X` does not.
    return [f"{parent}.{alias.name}" for alias in node.names]


def _list_defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _split_string(node: Any) -> Any:
    # Python 3.12 quotes within an f-string otherwise than 3.11: a tuple of its parts is the same text.
    if isinstance(node, ast.JoinedStr):
        return ast.Tuple(node.values, ast.Load())
    if isinstance(node, ast.FormattedValue):
        parts = [node.value, ast.Constant(node.conversion), *([node.format_spec] if node.format_spec else [])]
        return ast.Tuple(parts, ast.Load())
    return node

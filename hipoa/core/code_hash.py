"""Which code and which data made a result: hashes that change only when the result may change.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
# Neither an error's wording nor a hash changes a result.
_WITHOUT_EFFECT = {"hipoa.core.errors", "hipoa.core.code_hash"}
_WHOLE = "*"
_ALL = frozenset({_WHOLE})


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_hash(module: str, root: Path = _ROOT) -> str:
    """A hash of a module and of all hipoa modules that it imports, however far down.

    Comments, docstrings and layout do not count: what counts is the text that `ast.unparse` gives. Imports
    within functions do count. Where the package lies does not. Of a room's ``settings`` the models that are
    imported count, and what they use: a new option of `predict` retrains nothing.

    Args:
        module: The dotted name of a stage's module, such as ``hipoa.imaging.project``.
        root: The folder in which the package ``hipoa`` lies.

    Returns:
        16 hexadecimal digits.
    """
    imported: dict[str, set[str]] = {}
    waiting = [(module, _WHOLE)]
    while waiting:
        name, part = waiting.pop()
        if name in _WITHOUT_EFFECT:
            continue
        if name not in imported:
            waiting += _take_apart(name, root)[0]
        imported.setdefault(name, set()).add(part)
    # Only of settings does it matter what is imported: all other modules are taken apart once for all stages.
    parts = {name: frozenset(found) if _is_settings(name) else _ALL for name, found in imported.items()}
    text = "\n".join(f"{name}\n{_code(name, parts[name], root)}" for name in sorted(imported))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parse(module: str, root: Path) -> ast.Module:
    return ast.parse(_source(module, root).read_text(encoding="utf-8"))


@cache
def _take_apart(module: str, root: Path) -> tuple[list[tuple[str, str]], str]:
    """What a module imports of hipoa, and its code without its texts; parsed once, which takes longest."""
    tree = _parse(module, root)
    imports = _drop_texts(tree)
    return _find_modules(imports, module, root), ast.unparse(tree)


def _find_modules(
    imports: list[ast.Import | ast.ImportFrom], module: str, root: Path
) -> list[tuple[str, str]]:
    """The hipoa modules that a module imports, and what of each: a name, or the whole."""
    names = [name for node in imports for name in _imported(node, module)]
    found: list[tuple[str, str]] = []
    for name in filter(lambda name: name.startswith("hipoa."), names):
        parent, _, attribute = name.rpartition(".")
        # A package's own file holds a docstring at most, so it cannot change a result.
        if _source(name, root).is_file():
            found.append((name, _WHOLE))
        elif _source(parent, root).is_file():
            found.append((parent, attribute))
    return found


@cache
def _code(module: str, parts: frozenset[str], root: Path) -> str:
    """A module's code without its texts; of settings the parts alone, if it is not imported as a whole."""
    if _WHOLE in parts:
        return _take_apart(module, root)[1]
    tree = _parse(module, root)
    tree.body = _pick(tree.body, set(parts))
    _drop_texts(tree)
    return ast.unparse(tree)


def _pick(body: list[ast.stmt], wanted: set[str]) -> list[ast.stmt]:
    """The statements that define these names, and the names that those use."""
    uses = {id(node): {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} for node in body}
    picked: list[ast.stmt] = []
    while new := [node for node in body if node not in picked and _defined(node) & wanted]:
        picked += new
        wanted = wanted.union(*(uses[id(node)] for node in new))
    return [node for node in body if node in picked]


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {
        part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)
    }


def _imported(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    above = module.split(".")[: -node.level] if node.level else []
    parent = ".".join([*above, *([node.module] if node.module else [])])
    # `from hipoa.imaging import project` names a module, `from hipoa.core.errors import X` does not.
    return [f"{parent}.{alias.name}" for alias in node.names]


def _is_settings(module: str) -> bool:
    return module.rpartition(".")[2] == "settings"


def _source(module: str, root: Path) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


def _drop_texts(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Drops docstrings, of constants too, and takes f-strings apart; what is left need not be valid code.

    By hand: with ast.NodeTransformer and ast.walk all hashes take 1.4 times as long, in every cluster job.

    Returns:
        The imports, wherever they stand.
    """
    imports: list[ast.Import | ast.ImportFrom] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        for name in node._fields:
            value = getattr(node, name)
            if isinstance(value, list):
                value[:] = [_take_string_apart(each) for each in value if not _is_text(each)]
                waiting += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST) and value._fields:
                value = _take_string_apart(value)
                setattr(node, name, value)
                waiting.append(value)
    return imports


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _take_string_apart(node: Any) -> Any:
    # Python 3.12 quotes within an f-string otherwise than 3.11: a tuple of its parts is the same text.
    if isinstance(node, ast.JoinedStr):
        return ast.Tuple(node.values, ast.Load())
    if isinstance(node, ast.FormattedValue):
        parts = [node.value, ast.Constant(node.conversion), *([node.format_spec] if node.format_spec else [])]
        return ast.Tuple(parts, ast.Load())
    return node

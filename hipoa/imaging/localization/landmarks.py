"""Hip centres that someone marked: a CSV, or a 3D Slicer file (.fcsv, .mrk.json)."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hipoa.errors import CtError
from hipoa.imaging.hips import USUAL_RADIUS_MM, Hip, HipCentres
from hipoa.tables import SIDES

Point = tuple[str, tuple[float, float, float], float | None]
"""Name, position in RAS mm, radius in mm if it is given."""

_COLUMNS = {"RAS": ("r", "a", "s"), "LPS": ("l", "p", "s"), "": ("x", "y", "z")}
_SPACE_COLUMNS = ("space", "coordinate_system", "coordinatesystem")
_WORDS = {"l": "L", "left": "L", "lt": "L", "r": "R", "right": "R", "rt": "R"}
_SOCKET_WORDS = ("socket", "acetabul")
_DO = "Mark each femoral head with its side in the name (L or R) and say whether it is RAS or LPS."


def locate_by_landmarks(path: Path) -> HipCentres:
    """Reads the marked hip centres, and the native sockets: points with "socket" or "acetabulum" in the name.

    Raises:
        CtError: The file cannot be read, does not say which coordinates it holds, or marks no hip.
    """
    try:
        points = _read(path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise CtError(path.name, "the landmarks cannot be read", _DO) from None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CtError(path.name, f"the landmarks cannot be used ({error})", _DO) from None
    sockets = _name_sides(path, [point for point in points if _is_socket(point[0])])
    hips = {
        side: Hip(
            side,
            position,
            radius_mm or USUAL_RADIUS_MM,
            "landmarks",
            1.0,
            socket_ras_mm=sockets[side][1] if side in sockets else None,
        )
        for side, (_, position, radius_mm) in _name_sides(
            path, [point for point in points if not _is_socket(point[0])]
        ).items()
    }
    if not hips:
        raise CtError(path.name, "no landmark is named after a side", _DO)
    missing = {side: "no hip found: no landmark of this side" for side in SIDES if side not in hips}
    return HipCentres(hips, missing)


def _is_socket(name: str) -> bool:
    return any(word in name.lower() for word in _SOCKET_WORDS)


def _name_sides(path: Path, points: Iterable[Point]) -> dict[str, Point]:
    sides: dict[str, Point] = {}
    for point in points:
        side = side_of(point[0])
        if side in sides:
            raise CtError(path.name, f"two landmarks are of the side {side}", _DO)
        if side:
            sides[side] = point
    return sides


def side_of(name: str) -> str:
    """The side a landmark's name speaks of: "L", "R" or, where it speaks of none or both, ""."""
    words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    sides = {_WORDS[word] for word in words if word in _WORDS}
    return sides.pop() if len(sides) == 1 else ""


def _read(path: Path) -> list[Point]:
    text = path.read_text(encoding="utf-8-sig")
    name = path.name.lower()
    if name.endswith(".json"):
        return _from_markups(json.loads(text))
    return _from_fcsv(text) if name.endswith(".fcsv") else _from_csv(text)


def _from_markups(content: Mapping) -> list[Point]:
    points: list[Point] = []
    for markup in content["markups"]:
        space = _space(str(markup.get("coordinateSystem", "")))
        points += [
            (str(point.get("label", "")), _ras(point["position"], space), None)
            for point in markup["controlPoints"]
            if point.get("positionStatus", "defined") == "defined"
        ]
    return points


def _from_fcsv(text: str) -> list[Point]:
    header = dict(re.findall(r"^#\s*(\w+)\s*=\s*(.+?)\s*$", text, re.MULTILINE))
    space = _space(header.get("CoordinateSystem", ""))
    columns = [
        word.strip() for word in header.get("columns", "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label").split(",")
    ]
    rows = csv.reader(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    cells = [dict(zip(columns, row, strict=False)) for row in rows]
    return [(row["label"], _ras((row["x"], row["y"], row["z"]), space), None) for row in cells]


def _from_csv(text: str) -> list[Point]:
    stated = re.search(r"^#.*\b(RAS|LPS)\b", text, re.MULTILINE | re.IGNORECASE)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    delimiter = max(",;\t", key=lines[0].count)
    rows = [
        {
            (key or "").strip().lower().removesuffix("_mm"): (value or "").strip()
            for key, value in row.items()
            if key
        }
        for row in csv.DictReader(lines, delimiter=delimiter)
    ]
    return [_csv_point(row, stated.group(1) if stated else "") for row in rows]


def _csv_point(row: Mapping[str, str], stated: str) -> Point:
    name = next((row[key] for key in ("side", "name", "label") if row.get(key)), "")
    space = next((row[key] for key in _SPACE_COLUMNS if row.get(key)), stated)
    for default, columns in _COLUMNS.items():
        keys = next((k for k in (columns, tuple(f"centre_{c}" for c in columns)) if set(k) <= set(row)), None)
        if keys:
            radius = row.get("radius", "")
            return (
                name,
                _ras([row[k] for k in keys], default or _space(space)),
                float(radius) if radius else None,
            )
    raise ValueError("neither the columns r,a,s nor l,p,s nor x,y,z are there")


def _space(text: str) -> str:
    # Slicer wrote numbers before it wrote words.
    space = {"0": "RAS", "1": "LPS"}.get(text.strip(), text.strip().upper())
    if space not in {"RAS", "LPS"}:
        raise ValueError(f'the coordinate system is "{text}", neither RAS nor LPS')
    return space


def _ras(position: Sequence[str] | Iterable[float], space: str) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in position)
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise ValueError("a coordinate is not finite")
    return (x, y, z) if space == "RAS" else (-x, -y, z)

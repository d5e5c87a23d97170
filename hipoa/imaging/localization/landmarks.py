"""Hip centres from landmarks: a CSV, or a 3D Slicer file (.fcsv, .mrk.json)."""

from __future__ import annotations

import csv
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hipoa.core.errors import CtError, TableError
from hipoa.core.tables.encoding import decode
from hipoa.core.tables.rows import SIDES
from hipoa.imaging.localization.hip_centres import USUAL_RADIUS_MM, Hip, HipCentres
from hipoa.imaging.localization.names import KNOWN_LANDMARKS, Meaning, read_landmark

Point = tuple[Meaning, tuple[float, float, float], float | None]
"""What a landmark's name means, its position in RAS mm, and the radius in mm if it is given."""

_COLUMNS = {"RAS": ("r", "a", "s"), "LPS": ("l", "p", "s"), "": ("x", "y", "z")}
_FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label"
_NAME_COLUMNS = ("name", "label", "landmark", "名前", "名称", "ラベル")
_SIDE_COLUMNS = ("side", "seite", "側", "左右")
_SPACE_COLUMNS = ("space", "coordinate_system", "coordinatesystem")
# A head that has left its socket is found within this; the other side's socket lies about 175 mm away.
_SOCKET_MM = 120.0
_DO = (
    f"Name each femoral head with its side ({KNOWN_LANDMARKS}) "
    "and say whether the coordinates are RAS or LPS."
)
_PLURAL = {"head": "femoral heads", "socket": "sockets"}
_SAVE = "Save the landmarks again as text in UTF-8."


def locate_by_landmarks(path: Path) -> HipCentres:
    """Reads the marked hip centres, and the native sockets; what is named otherwise is passed over.

    Raises:
        CtError: The file cannot be read, does not say which coordinates it holds, or names no femoral head.
    """
    points = _read_points(path)
    heads, sockets = (_by_side(path, kind, points) for kind in ("head", "socket"))
    if not heads:
        # Their names are not told: one may be a person's.
        raise CtError(path.name, f"of {len(points)} landmarks none is named as a femoral head of a side", _DO)
    hips = {
        side: Hip(
            side,
            position,
            radius_mm or USUAL_RADIUS_MM,
            "landmarks",
            1.0,
            socket_ras_mm=sockets[side][1] if side in sockets else None,
        )
        for side, (_, position, radius_mm) in heads.items()
    }
    _check_sockets(path, hips)
    missing = {side: "no hip found: no landmark of this side" for side in SIDES if side not in hips}
    return HipCentres(hips, missing)


def _read_points(path: Path) -> list[Point]:
    try:
        return _parse(path)
    except TableError as error:
        found, do = error.found, _SAVE
    except FileNotFoundError:
        found, do = "there is no such file", "Check the path."
    except csv.Error:
        found, do = "the landmarks cannot be read", "Look for a quote that is not closed."
    except (OSError, json.JSONDecodeError, RecursionError):
        found, do = "the landmarks cannot be read", _DO
    except _UnusableError as error:
        found, do = f"the landmarks cannot be used ({error})", _DO
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        # Python's own words may quote the file.
        found, do = "the landmarks cannot be used (they are laid out as no table or markups)", _DO
    raise CtError(path.name, found, do)


def _check_sockets(path: Path, hips: Mapping[str, Hip]) -> None:
    for side, hip in hips.items():
        if hip.socket_ras_mm and math.dist(hip.centre_ras_mm, hip.socket_ras_mm) > _SOCKET_MM:
            found = f"the socket of the side {side} lies more than {_SOCKET_MM:.0f} mm from its head"
            raise CtError(path.name, found, "Check its side and its coordinates.")


def _by_side(path: Path, kind: str, points: Iterable[Point]) -> dict[str, Point]:
    sides: dict[str, Point] = {}
    for point in points:
        side = point[0].side
        if point[0].kind != kind or not side:
            continue
        if side in sides:
            found = f"two landmarks are {_PLURAL[kind]} of the side {side}"
            raise CtError(path.name, found, f"Keep one of them. {_DO}")
        sides[side] = point
    return sides


class _UnusableError(ValueError):
    """What is wrong with a file, without quoting it."""


def _parse(path: Path) -> list[Point]:
    data = path.read_bytes()
    try:
        if b"\0" in data or b"\x1b" in data:  # UTF-16, or ISO-2022-JP
            raise UnicodeError
        text = data.decode("utf-8-sig")
    except UnicodeError:
        text = decode(data, path.name)[0]
    name = path.name.lower()
    if name.endswith(".json"):
        return _parse_markups(json.loads(text))
    return _parse_fcsv(text) if name.endswith(".fcsv") else _parse_csv(text)


def _parse_markups(content: Mapping) -> list[Point]:
    points: list[Point] = []
    for markup in content["markups"]:
        space = _read_space(str(markup.get("coordinateSystem", "")))
        if "mm" not in markup.get("coordinateUnits", "mm"):  # a text, or a list with it
            raise _UnusableError("the coordinates are not in mm")
        points += [
            (read_landmark(str(point.get("label", ""))), _to_ras(point["position"], space), None)
            for point in markup["controlPoints"]
            if point.get("positionStatus", "defined") == "defined"
        ]
    return points


def _parse_fcsv(text: str) -> list[Point]:
    header = dict(re.findall(r"^#\s*(\w+)\s*=\s*(.+?)\s*$", text, re.MULTILINE))
    space = _read_space(header.get("CoordinateSystem", ""))
    columns = [word.strip() for word in header.get("columns", _FCSV_COLUMNS).split(",")]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [_read_point(row, space) for row in _name_cells(columns, csv.reader(lines, strict=True))]


def _parse_csv(text: str) -> list[Point]:
    stated = re.search(r"^#.*\b(RAS|LPS)\b", text, re.MULTILINE | re.IGNORECASE)
    lines = [line for line in text.splitlines() if line.strip(" ,;\t") and not line.startswith("#")]
    delimiter = max(",;\t", key=lines[0].count)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    columns = [_read_heading(cell) for cell in next(rows)]
    return [_read_point(row, stated[1] if stated else "") for row in _name_cells(columns, rows)]


def _name_cells(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[dict[str, str]]:
    """The cells of each row by column; decimal commas between commas would shift them."""
    cells = [[cell.strip() for cell in row] for row in rows]
    if any(any(row[len(columns) :]) for row in cells):
        raise _UnusableError(
            "a row has more cells than there are columns: write decimal points, or semicolons between cells"
        )
    return [dict(zip(columns, row, strict=False)) for row in cells]


def _read_heading(text: str) -> str:
    """A heading in lower case without "centre", its unit and its width: ``Center R [mm]`` is r."""
    plain = unicodedata.normalize("NFKC", text).strip().casefold().replace("center", "centre")
    plain = re.sub(r"[\s_]*(\bmm|_mm|[(\[]mm[)\]])$", "", plain)
    return re.sub(r"[\s_]+", "_", plain).removeprefix("centre_")


def _read_point(row: Mapping[str, str], stated: str) -> Point:
    name, side, space = (
        next((row[key] for key in keys if row.get(key)), "")
        for keys in (_NAME_COLUMNS, _SIDE_COLUMNS, _SPACE_COLUMNS)
    )
    for default, columns in _COLUMNS.items():
        if set(columns) <= set(row):
            position = _to_ras([row[name] for name in columns], default or _read_space(space or stated))
            return read_landmark(name, side), position, _read_number(row.get("radius") or "0") or None
    raise _UnusableError("neither the columns r,a,s nor l,p,s nor x,y,z are there")


def _read_space(text: str) -> str:
    # Slicer wrote numbers before it wrote words.
    space = {"0": "RAS", "1": "LPS"}.get(text.strip(), text.strip().upper())
    if space not in {"RAS", "LPS"}:
        raise _UnusableError("the coordinate system is neither RAS nor LPS")
    return space


def _to_ras(position: Sequence[str] | Iterable[float], space: str) -> tuple[float, float, float]:
    x, y, z = (_read_number(value) for value in position)
    return (x, y, z) if space == "RAS" else (-x, -y, z)


def _read_number(value: str | float) -> float:
    try:
        # A comma is a decimal one here: no place is thousands of mm away.
        number = float(value.replace(",", ".") if isinstance(value, str) else value)
    except ValueError:
        raise _UnusableError("a coordinate or radius is no number") from None
    if not math.isfinite(number):
        raise _UnusableError("a coordinate or radius is not finite")
    return number

"""Measurements on the images that are read: a ruler, the centre-edge angle and Crowe's proportion.

The page shows them while points are set, by the same formulas (`server/static/geometry.js`); what is recorded
is computed here from the points. Lengths are those in the plane of the hip: nearer to the X-ray source they
seem larger, farther from it smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hipoa.core.errors import ReadingError
from hipoa.reading.images import LoadedImage
from hipoa.reading.records import Measurement, Point, Record

MOST = 20
"""Measurements of one reading."""
# Points nearer to each other than this give no direction and no circle.
_LEAST_MM = 1.0
# Of the height of the pelvis: the usual diameter of a femoral head. Source: Crowe et al. 1979.
_HEAD_SHARE = 0.2


class Kind(NamedTuple):
    """What is measured, and on which image."""

    image: Literal["hip", "pelvis"]
    points: int
    unit: Literal["mm", "deg", "%"]


KINDS = {
    # Both ends.
    "ruler": Kind("hip", 2, "mm"),
    # Three points on the outline of the femoral head, the lateral edge of the sourcil.
    "ce_angle": Kind("hip", 4, "deg"),
    # Both teardrops, this hip's medial head-neck junction, both ends of an undeformed head's diameter.
    "crowe_head": Kind("pelvis", 5, "%"),
    # Both teardrops, the junction, the top of the iliac crest, the lowest point of the ischial tuberosity.
    "crowe_pelvis": Kind("pelvis", 5, "%"),
}
COLUMNS = (
    *("id", "reading", "reader", "time", "hip_id", "case_id", "side", "kind", "value", "unit", "crowe"),
    *("vertical", "tilt_deg", "image", "image_sha256", "points_px", "points_mm"),
)
"""Of the table of measurements, one row each."""


def measure(kind: str, points_mm: Sequence[Point], side: str, tilt_deg: float | None) -> float:
    """The value of a measurement, in the unit of its kind.

    - ruler: the distance of two points.
    - ce_angle: from the vertical through the head's centre to the line from there to the lateral edge of the
      sourcil, positive if the edge lies lateral. The vertical is perpendicular to the line through both
      heads. Source: Wiberg 1939, Acta Chir Scand 83 Suppl 58.
    - crowe_head, crowe_pelvis: how high the medial head-neck junction lies above the line through the
      teardrops, in percent of the diameter of the undeformed head, or of 20 % of the height of the pelvis.
      Source: Crowe, Mani and Ranawat 1979, J Bone Joint Surg Am 61:15-23.

    Args:
        kind: One of `KINDS`.
        points_mm: Its points, in the order of `KINDS`.
        side: L or R of the patient; the right is on the image's left.
        tilt_deg: Of the line through both heads, positive where the right one is higher; if None, the
            vertical is that of the image.

    Raises:
        ValueError: The points give no line or no circle.
    """
    if kind == "ruler":
        return math.dist(*points_mm)
    if kind == "ce_angle":
        return _measure_centre_edge(points_mm, side, math.radians(tilt_deg or 0))
    return _measure_crowe(kind, points_mm)


def _measure_centre_edge(points: Sequence[Point], side: str, tilt: float) -> float:
    centre, _ = fit_circle(*points[:3])
    x, y = points[3][0] - centre[0], points[3][1] - centre[1]
    if math.hypot(x, y) < _LEAST_MM:
        raise ValueError("the edge lies at the head's centre")
    aside = x * math.cos(tilt) + y * math.sin(tilt)
    above = x * math.sin(tilt) - y * math.cos(tilt)
    return math.degrees(math.atan2(-aside if side == "R" else aside, above))


def _measure_crowe(kind: str, points: Sequence[Point]) -> float:
    one, other, junction, start, end = points
    x, y = other[0] - one[0], other[1] - one[1]
    if abs(x) < _LEAST_MM:
        raise ValueError("the teardrops lie above each other")
    # Upwards, perpendicular to the line through the teardrops.
    length = math.copysign(math.hypot(x, y), x)

    def rise(low: Point, high: Point) -> float:
        return ((high[0] - low[0]) * y - (high[1] - low[1]) * x) / length

    head = math.dist(start, end) if kind == "crowe_head" else _HEAD_SHARE * abs(rise(start, end))
    if head < _LEAST_MM:
        raise ValueError("the last two points are too close to each other")
    return 100 * rise(one, junction) / head


def fit_circle(a: Point, b: Point, c: Point) -> tuple[Point, float]:
    """Centre and radius of the circle through three points.

    Raises:
        ValueError: They lie on a line, or too close to each other.
    """
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    twice_area = bx * cy - by * cx
    if abs(twice_area) < _LEAST_MM**2:
        raise ValueError("the points on the head's outline lie on a line")
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    x, y = (cy * b2 - by * c2) / (2 * twice_area), (bx * c2 - cx * b2) / (2 * twice_area)
    return (a[0] + x, a[1] + y), math.hypot(x, y)


def grade_proportion(percent: float) -> int:
    """The Crowe grade of a proportion in percent: I below 50, II to 75, III to 100, IV above.

    Source: Crowe, Mani and Ranawat 1979, J Bone Joint Surg Am 61:15-23.
    """
    return 1 + (percent >= 50) + (percent > 75) + (percent > 100)


class _Sent(BaseModel):
    """A measurement as the page sends it: no value, which the page has no say in."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    kind: Literal["ruler", "ce_angle", "crowe_head", "crowe_pelvis"]
    image_sha256: str = Field(max_length=64)
    points: list[tuple[float, float]] = Field(max_length=5)


def take_measurements(
    sent: object, images: Mapping[str, LoadedImage], side: str, tilt_deg: float | None
) -> tuple[Measurement, ...]:
    """The measurements that the page sent, checked, each with its value.

    Args:
        sent: A list of objects with kind, image_sha256 and points (column, row in pixels), or None.
        images: The images of the hip, by name.
        side: L or R of the patient.
        tilt_deg: As for `measure`; None where not both heads are known.

    Raises:
        ReadingError: One is none, or of another image.
    """
    if sent is None:
        return ()
    if not isinstance(sent, list) or len(sent) > MOST:
        raise ReadingError("measurements", f"they are no list of at most {MOST}", "Delete some.")
    try:
        return tuple(_take(_Sent.model_validate(one), images, side, tilt_deg) for one in sent)
    except ValidationError:
        found = "a measurement is incomplete or of no known kind"
    except ValueError as error:
        found = str(error)
    raise ReadingError("measurements", found, "Delete that one and measure again.")


def _take(sent: _Sent, images: Mapping[str, LoadedImage], side: str, tilt_deg: float | None) -> Measurement:
    kind = KINDS[sent.kind]
    image = images.get(kind.image)
    if image is None or image.sha256 != sent.image_sha256:
        raise ValueError("a measurement is of another image")
    height, width = image.pixels.shape
    if len(sent.points) != kind.points:
        raise ValueError(f"{sent.kind} needs {kind.points} points")
    if not all(-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5 for x, y in sent.points):
        raise ValueError("a point lies outside the image")
    px = tuple((round(x, 2), round(y, 2)) for x, y in sent.points)
    mm = tuple((x * image.file.mm_per_px, y * image.file.mm_per_px) for x, y in px)
    by_heads = sent.kind == "ce_angle" and tilt_deg is not None
    return Measurement(
        kind=sent.kind,
        value=round(measure(sent.kind, mm, side, tilt_deg), 1),
        unit=kind.unit,
        image=kind.image,
        image_sha256=image.sha256,
        points_px=px,
        points_mm=tuple((round(x, 2), round(y, 2)) for x, y in mm),
        vertical="" if sent.kind != "ce_angle" else "heads" if by_heads else "image",
        tilt_deg=tilt_deg if by_heads else None,
    )


def list_measurements(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """One row per measurement of readings, with `COLUMNS`."""
    for record in records:
        about = {"reading": record.kind, **record.model_dump(include=_SHARED)}
        for measured in record.measurements:
            row = {**about, **measured.model_dump()}
            row |= {name: _join(getattr(measured, name)) for name in ("points_px", "points_mm")}
            row["crowe"] = grade_proportion(measured.value) if measured.unit == "%" else None
            yield row


_SHARED = {"id", "reader", "time", "hip_id", "case_id", "side"}


def _join(points: Iterable[Point]) -> str:
    return "; ".join(f"{x:g} {y:g}" for x, y in points)

"""The tools of the page: measurements, and images that are shown on demand beside the hip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hipoa.core.errors import ReadingError
from hipoa.reading.images import LoadedImage, load_image
from hipoa.reading.measurements import take_measurements
from hipoa.reading.records import Measurement, ReadingIndex, Record
from hipoa.reading.worklist import Hip


def present_tools(
    hip: Hip, images: Mapping[str, LoadedImage], earlier: tuple[Measurement, ...]
) -> dict[str, Any]:
    """What the page needs for its tools: the vertical, images on demand, measurements made before."""
    shown = {name: image.sha256 for name, image in images.items()}
    kept = [
        {"kind": one.kind, "points": one.points_px, "image_sha256": one.image_sha256}
        for one in earlier
        if one.image_sha256 == shown.get(one.image)
    ]
    on_demand = {name: one.caption for name, one in hip.on_demand.items()}
    return {"tilt_deg": hip.tilt_deg, "on_demand": on_demand, "measurements": kept}


def find_earlier(
    index: ReadingIndex, reader: str, hip_id: str, kind: str, *, again: bool
) -> tuple[Measurement, ...]:
    """The reader's own measurements that a hip comes back with: undone, put off, or for a consensus.

    A hidden second reading has none of the first, which would give it away.
    """
    if kind == "consensus":
        own = index.current(reader).get(hip_id)
        return own.measurements if own else ()
    left = index.left(reader, hip_id)
    return left.measurements if left and left.kind in (kind, "later") and left.again == again else ()


def take_tools(record: Record, form: Mapping[str, Any], hip: Hip) -> Record:
    """The record with the form's measurements and with what the reader looked at beside the hip.

    Raises:
        ReadingError: A measurement is none, or of another image.
    """
    opened = form.get("also_seen") or []
    if not isinstance(opened, list) or not all(
        isinstance(one, str) and one in hip.on_demand for one in opened
    ):
        raise ReadingError("reading", "also_seen names no image of this hip", "Reload the page.")
    images = {name: load_image(file) for name, file in hip.images.items()} if form.get("measurements") else {}
    measured = take_measurements(form.get("measurements"), images, hip.side, hip.tilt_deg)
    return record.model_copy(update={"measurements": measured, "also_seen": " ".join(sorted(set(opened)))})


def describe_on_demand(hip: Hip, name: str) -> dict[str, Any]:
    """An image that is shown on demand, without its pixels.

    Raises:
        KeyError: There is none of this name.
        ReadingError: It cannot be read.
    """
    one = hip.on_demand[name]
    return {**load_image(one.file).describe(), "caption": one.caption, "apart_mm": one.apart_mm}

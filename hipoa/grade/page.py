"""A page on both hips of a CT for a surgeon: radiograph, found head, class, probabilities, doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from hipoa.core.constants import RADIOGRAPH_PX, SIDE_NAMES
from hipoa.grade.statements import (
    GUESS,
    SURE,
    describe_class,
    describe_hip,
    describe_likeness,
    describe_set,
    list_doubts,
)
from hipoa.imaging.drr import HipRadiographs
from hipoa.imaging.projection.slices import MM_PER_PX
from hipoa.report.radiographs import embed_jpeg, show_as_in_patient


def render(record: Mapping[str, Any], made: HipRadiographs, class_table: Sequence[Sequence[int]]) -> str:
    """The page as HTML; all text is escaped, and neither the CT's name nor a path is in it.

    Args:
        record: What the JSON file says.
        made: The radiographs.
        class_table: (Crowe, KL) of each class.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("hipoa.grade", ""), jinja2.PackageLoader("hipoa.report", "")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The right hip comes first: it lies at image left.
    hips = [_show(side, hip, made) for side, hip in sorted(record["hips"].items(), reverse=True)]
    of_hips = {f"{shown['side']}: {note}" for shown in hips for note in shown["warnings"]}
    return environment.get_template("page.html").render(
        record=record,
        hips=hips,
        general=[note for note in record["warnings"] if note not in of_hips],
        classes=[describe_class(*pair) for pair in class_table],
        guess=100 * GUESS,
        sure=100 * SURE,
    )


def _show(side: str, hip: Mapping[str, Any], made: HipRadiographs) -> dict[str, Any]:
    image, texts = made.images[side]
    row, mm_per_px = made.rows[side], float(texts["mm_per_px"])
    x, y, radius = (float(str(row[name])) / mm_per_px for name in ("head_x_mm", "head_y_mm", "radius_mm"))
    coronal = made.coronal[side]
    graded, statement = hip["grade"] is not None, describe_hip(hip)
    return {
        "hip": hip,
        "name": f"{SIDE_NAMES[side]} hip",
        "side": side,
        "url": embed_jpeg(show_as_in_patient(image, mirrored=texts["mirrored"] == "yes")),
        "x_px": round(RADIOGRAPH_PX / 2 + x, 1),
        "y_px": round(RADIOGRAPH_PX / 2 + y, 1),
        "radius_px": round(radius, 1),
        "coronal": embed_jpeg(coronal),
        "coronal_px": len(coronal),
        "coronal_radius_px": round(float(str(row["radius_mm"])) / MM_PER_PX, 1),
        "width_mm": round(RADIOGRAPH_PX * mm_per_px),
        "statement": statement[0].upper() + statement[1:],
        "set": describe_set(hip),
        "inside": hip.get("set") or [],
        # Else it is among the doubts.
        "likeness": describe_likeness(hip) if graded and not hip["unlike_the_study"] else "",
        "doubts": list_doubts(hip) if graded else [],
        "warnings": [note for note in str(row["warnings"]).split("; ") if note],
        "method": row["method"],
        "confidence": row["confidence"],
    }

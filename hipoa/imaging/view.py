"""High-resolution views of each hip and of the pelvis, and CT slices, for readers; no network sees them."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipoa.core.code_hash import code_hash
from hipoa.core.errors import CtError
from hipoa.core.files import write_csv
from hipoa.core.tables.rows import SIDES, Case, hip_id
from hipoa.imaging.develop import describe_image, remove_old_pngs, write_png
from hipoa.imaging.localization.scan import Scan
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.projection.render import ProjectionRequest
from hipoa.imaging.projection.request import Row, check_gaps, make_geometry, request_hip
from hipoa.imaging.projection.slices import APART_MM, MM_PER_PX, lay_out
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.shard import ImageCache, ShardOptions, select_cases

_HEAD = ("head_x_px", "head_y_px", "head_radius_px")
COLUMNS = (
    *("hip_id", "case_id", "side", "status", "reason", "png", "mm_per_px", *_HEAD, "pelvis_png"),
    *("pelvis_mm_per_px", "pelvis_head_x_px", "pelvis_head_y_px"),
    *("window_low", "window_high", "slices_png", "slices_mm_per_px", "slices_apart_mm"),
)
PELVIS = "pelvis"
# Sides of the squares in the plane of the hips, and the largest pixels, mm: the joint space is 1-3 mm wide,
# and both iliac crests are seen.
HIP_FIELD_MM, HIP_MM_PER_PX = 200.0, 0.4
PELVIS_FIELD_MM, PELVIS_MM_PER_PX = 400.0, 0.8
# The line integral that 65535 stands for: more than any body has.
_HIGHEST = 20.0
_WHITE = 65535
# A hand's breadth of water at 50 keV: neither air nor the skin's edge.
_BODY = 1.5
# An AP view is centred above the heads: it reaches from the iliac crests to the lesser trochanters.
_ABOVE_HEADS_MM = 20.0
# Half the usual distance between two heads, where one is known.
_ASIDE_MM = 87.5


def run(
    settings: ProjectSettings,
    options: ShardOptions,
    *,
    cases: Path,
    cohort: str,
    out: Path,
    png: Path,
    cache: Path,
    grades: Path | None = None,
) -> None:
    """Renders the reading views of one shard of a cohort, seen from the front and never mirrored.

    Views are 16-bit PNGs; the CT slices about each head are one PNG of 8 bits, a row for each plane.

    Args:
        settings: The projection.
        options: The shard, and how its CTs are read.
        cases: The table of CTs.
        cohort: labelled, external or pool.
        out: The table to write, one row per hip of every case.
        png: The folder of the PNGs.
        cache: A folder where finished cases are kept for the next run.
        grades: The table of readings, from which the cohorts follow.
    """
    makers = {**dict.fromkeys(SIDES, request_hip_view), PELVIS: request_pelvis}
    # What is to be read of a long CT.
    settings = settings.model_copy(update={"field_of_view_mm": PELVIS_FIELD_MM + 2 * _ABOVE_HEADS_MM})
    rows: list[Row] = []
    window: Row = {"window_low": 0, "window_high": _HIGHEST}
    kept = ImageCache(makers, settings, [code_hash("hipoa.imaging.view")], cache, options)
    for case, (found, images) in kept.make_images(select_cases(cases, grades, cohort, options)):
        links: dict[str, str] = {}
        for name, image in images.items():
            for kind, (pixels, texts) in _draw(image, name).items():
                file = png / f"{hip_id(case.case_id, kind)}.png"
                write_png(file, pixels, texts)
                links[kind] = Path(os.path.relpath(file, out.parent)).as_posix()
        rows += [_tabulate(case, side, found, images, links) | window for side in SIDES]
        print(f"{case.case_id}: {len(images)} views", file=sys.stderr, flush=True)
    remove_old_pngs(out, ("png", "pelvis_png", "slices_png"), rows)
    write_csv(out, COLUMNS, rows)


def request_hip_view(scan: Scan, side: str, settings: ProjectSettings) -> tuple[Row, ProjectionRequest]:
    """The fine view of one hip.

    Raises:
        CtError: The hip was not found, or lies outside the CT.
    """
    finer = {"field_of_view_mm": HIP_FIELD_MM, "detector_px": _count_px(HIP_FIELD_MM, HIP_MM_PER_PX)}
    row, request = request_hip(scan, side, settings.model_copy(update=finer))
    hip, geometry = scan.centres.hips[side], request.geometry
    x, y = geometry.find_in_image(np.array(hip.centre_ras_mm))
    head = {"head_x_px": x, "head_y_px": y, "head_radius_px": round(hip.radius_mm / geometry.mm_per_px, 1)}
    shown = replace(request, slices_at_ras_mm=np.array(hip.centre_ras_mm))
    return {"status": row["status"], "reason": row["reason"], **head}, shown


def request_pelvis(scan: Scan, _: str, settings: ProjectSettings) -> tuple[Row, ProjectionRequest]:
    """The AP view of the pelvis, its central ray between the hips that were found.

    Raises:
        CtError: None was found, or slices are missing within the view.
    """
    if not scan.centres.hips:
        raise CtError(PELVIS, "no hip was found", "Mark the hips by landmarks or labels.")
    heads = {side: np.array(hip.centre_ras_mm) for side, hip in scan.centres.hips.items()}
    centre = np.mean(list(heads.values()), 0) + np.array([0, 0, _ABOVE_HEADS_MM])
    if len(heads) == 1:
        centre[0] += _ASIDE_MM if "L" in heads else -_ASIDE_MM
    detector_px = _count_px(PELVIS_FIELD_MM, PELVIS_MM_PER_PX)
    wide = {"field_of_view_mm": PELVIS_FIELD_MM, "detector_px": detector_px}
    geometry = make_geometry(settings.model_copy(update=wide), centre)
    request = ProjectionRequest(scan.volume, scan.body, geometry)
    check_gaps(request, PELVIS)
    row: Row = {"status": "ok", "reason": ""}
    for side, head in heads.items():
        row[f"{side}_x_px"], row[f"{side}_y_px"] = geometry.find_in_image(head)
    return row, request


def quantise(image: Projection) -> np.ndarray:
    """A line integral image as uint16 (H, W): 0 stands for 0, 65535 for 20 and more."""
    return np.rint(_WHITE * np.clip(image.line_integral / _HIGHEST, 0, 1)).astype(np.uint16)


def _draw(image: Projection, name: str) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
    """The files of one view: by name the pixels and the text chunks, without the patient."""
    drawn = {name: (quantise(image), _describe(image, name))}
    if image.slices is not None:
        drawn[f"{name}_slices"] = lay_out(image.slices), {"side": name, "mirrored": "no"}
    return drawn


def _count_px(field_mm: float, mm_per_px: float) -> int:
    return math.ceil(field_mm / mm_per_px - 1e-6)


def _describe(image: Projection, name: str) -> dict[str, str]:
    side = "both" if name == PELVIS else name
    texts = describe_image(image, side, mm_per_px=image.mm_per_px, mirrored=False)
    body = image.line_integral[image.line_integral > _BODY]
    shown = np.percentile(body, (2, 99.5)) if body.size else (0, _HIGHEST)
    return {
        **texts,
        "window_low": "0",
        "window_high": f"{_HIGHEST:g}",
        # What a viewer may open it with: the grey of the body.
        "shown_low": f"{shown[0]:.3f}",
        "shown_high": f"{shown[1]:.3f}",
    }


def _tabulate(
    case: Case, side: str, found: dict[str, Row], images: dict[str, Projection], links: dict[str, str]
) -> Row:
    row: Row = {"hip_id": hip_id(case.case_id, side), "case_id": case.case_id, "side": side}
    row |= {name: found[side].get(name) for name in ("status", "reason", *_HEAD)}
    for name, before in ((side, ""), (PELVIS, "pelvis_")):
        if name in images:
            row |= {f"{before}png": links[name], f"{before}mm_per_px": f"{images[name].mm_per_px:.4g}"}
    if f"{side}_slices" in links:
        row |= {"slices_png": links[f"{side}_slices"]}
        row |= {"slices_mm_per_px": f"{MM_PER_PX:g}", "slices_apart_mm": f"{APART_MM:g}"}
    for axis in "xy":
        row[f"pelvis_head_{axis}_px"] = found[PELVIS].get(f"{side}_{axis}_px")
    return row

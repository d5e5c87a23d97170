"""From CTs to line integrals about the hip centres: one row and at most one image per hip."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from hipoa.core.code_hash import code_hash
from hipoa.core.constants import HIP_COLUMNS
from hipoa.core.files import write_csv, write_npz
from hipoa.core.tables.rows import SIDES, Case, hip_id
from hipoa.core.tables.words import read_sex
from hipoa.imaging.ct.scanner_names import OTHER
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.projection.request import Row, request_hip
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.shard import ImageCache, ShardOptions, select_cases

_OTHER_SEX = "the table of cases gives another sex than the CT's header: look whose CT it is"


def run(
    settings: ProjectSettings,
    options: ShardOptions,
    *,
    cases: Path,
    cohort: str,
    out: Path,
    stack: Path,
    cache: Path,
    grades: Path | None = None,
) -> None:
    """Projects the hips of one shard of a cohort.

    A CT that cannot be used is refused with its reason, the others go on.

    Args:
        settings: The projection.
        options: The shard, and how its CTs are read.
        cases: The table of CTs.
        cohort: labelled, external or pool.
        out: The table to write, one row per hip of every case.
        stack: The .npz to write: hip_id (n,), line_integral (n, H, W) float32, mm_per_px (n,).
        cache: A folder where finished cases are kept for the next run.
        grades: The table of readings, from which the cohorts follow.
    """
    rows: list[Row] = []
    images: dict[str, Projection] = {}
    made_by = [code_hash("hipoa.imaging.project")]
    kept = ImageCache(dict.fromkeys(SIDES, request_hip), settings, made_by, cache, options)
    started = time.monotonic()
    for case, (of_side, projections) in kept.make_images(select_cases(cases, grades, cohort, options)):
        rows += [_complete(case, side, of_side[side]) for side in SIDES]
        images |= {hip_id(case.case_id, side): image for side, image in projections.items()}
        statuses = ", ".join(f"{side} {of_side[side]['status']}" for side in SIDES)
        # Times stand in the log alone: the tables of two runs are the same to the byte.
        spent_s, started = time.monotonic() - started, time.monotonic()
        print(f"{case.case_id}: {statuses}, {spent_s:.1f} s", file=sys.stderr, flush=True)
    write_npz(stack, _stack_images(images, settings.detector_px))
    write_csv(out, HIP_COLUMNS, rows)


def _stack_images(images: dict[str, Projection], detector_px: int) -> dict[str, np.ndarray]:
    empty = np.zeros((0, detector_px, detector_px), np.float32)
    return {
        "hip_id": np.array(list(images), dtype=np.str_),
        "line_integral": np.stack([image.line_integral for image in images.values()]) if images else empty,
        "mm_per_px": np.array([image.mm_per_px for image in images.values()], dtype=np.float64),
    }


def _complete(case: Case, side: str, found: Row) -> Row:
    """The row of a hip with the cells of the table of cases, which take precedence over the CT's header."""
    sexes = {read_sex(case.sex), read_sex(str(found.get("sex", "")))} - {""}
    names = [str(found.get(name, "")) for name in ("manufacturer", "model")]
    row = {
        **found,
        "hip_id": hip_id(case.case_id, side),
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "side": side,
        "sex": case.sex or found.get("sex"),
        "age": case.age or found.get("age"),
        "scanner": case.scanner or " ".join(name for name in names if name not in ("", OTHER)),
    }
    if len(sexes) > 1:
        row["warnings"] = "; ".join(filter(None, [str(found["warnings"]), _OTHER_SEX]))
    return row

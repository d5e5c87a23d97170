"""From CTs to line integrals about the hip centres: one row and at most one image per hip."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from hipoa.core.code_hash import code_hash
from hipoa.core.files import write_csv, write_npz
from hipoa.core.tables.rows import SIDES, Case, hip_id
from hipoa.core.tables.words import read_sex
from hipoa.imaging.ct.scanner_names import OTHER
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.projection.quality import COLUMNS as QUALITY_COLUMNS
from hipoa.imaging.projection.request import PLACE_COLUMNS, Row, aim
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.shard import Work, select_cases

COLUMNS = (
    *("hip_id", "case_id", "patient_id", "side", "sex", "age", "scanner", "status", "reason"),
    *QUALITY_COLUMNS,
    *PLACE_COLUMNS,
    "renderer",
)
_OTHER_SEX = "the table of cases gives another sex than the CT's header: look whose CT it is"


def run(
    settings: ProjectSettings,
    *,
    cases: Path,
    cohort: str,
    out: Path,
    stack: Path,
    cache: Path,
    grades: Path | None = None,
    shard: int = 0,
    shards: int = 1,
    readers: int = 1,
    read_timeout_s: float = 900,
    study: str = "",
) -> None:
    """Projects the hips of one shard of a cohort.

    A CT that cannot be used is refused with its reason, the others go on.

    Args:
        settings: The projection.
        cases: The table of CTs.
        cohort: labelled, external or pool.
        out: The table to write, one row per hip of every case.
        stack: The .npz to write: hip_id (n,), line_integral (n, H, W) float32, mm_per_px (n,).
        cache: A folder where finished cases are kept for the next run.
        grades: The table of readings, from which the cohorts follow.
        shard: Number of the shard.
        shards: Number of shards; 0 takes every case of the table.
        readers: Processes that read CTs ahead of the renderer, one CT in each; 0 reads in this process,
            which a CT that crashes a reader takes with it.
        read_timeout_s: How long reading a CT and finding its hips may take before the CT is refused, s.
        study: The study under whose name finished cases are kept.
    """
    rows: list[Row] = []
    images: dict[str, Projection] = {}
    work = Work(
        dict.fromkeys(SIDES, aim),
        settings,
        [code_hash("hipoa.imaging.project")],
        cache,
        readers,
        read_timeout_s,
        study,
    )
    started = time.monotonic()
    for case, of_side, projections in work.through(select_cases(cases, grades, cohort, shard, shards)):
        rows += [complete(case, side, of_side[side]) for side in SIDES]
        images |= {hip_id(case.case_id, side): image for side, image in projections.items()}
        statuses = ", ".join(f"{side} {of_side[side]['status']}" for side in SIDES)
        # Times stand in the log alone: the tables of two runs are the same to the byte.
        spent_s, started = time.monotonic() - started, time.monotonic()
        print(f"{case.case_id}: {statuses}, {spent_s:.1f} s", file=sys.stderr, flush=True)
    write_npz(stack, stack_images(images, settings.detector_px))
    write_csv(out, COLUMNS, rows)


def stack_images(images: dict[str, Projection], detector_px: int) -> dict[str, np.ndarray]:
    """The arrays of the stack: hip_id (n,), line_integral (n, H, W) float32, mm_per_px (n,)."""
    empty = np.zeros((0, detector_px, detector_px), np.float32)
    return {
        "hip_id": np.array(list(images), dtype=np.str_),
        "line_integral": np.stack([image.line_integral for image in images.values()]) if images else empty,
        "mm_per_px": np.array([image.mm_per_px for image in images.values()], dtype=np.float64),
    }


def complete(case: Case, side: str, found: Row) -> Row:
    """The row of a hip with what the table of cases says of it, which goes before the CT's header."""
    sexes = {read_sex(case.sex), read_sex(str(found.get("sex", "")))} - {""}
    row = {
        **found,
        "hip_id": hip_id(case.case_id, side),
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "side": side,
        "sex": case.sex or found.get("sex"),
        "age": case.age or found.get("age"),
        "scanner": case.scanner or _name_scanner(found),
    }
    if len(sexes) > 1:
        row["warnings"] = "; ".join(filter(None, [str(found["warnings"]), _OTHER_SEX]))
    return row


def _name_scanner(found: Row) -> str:
    names = (str(found.get(name, "")) for name in ("manufacturer", "model"))
    return " ".join(name for name in names if name not in ("", OTHER))

"""From CTs to line integrals about the hip centres: one row and at most one image per hip."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hipoa.errors import CtError, HipoaError
from hipoa.files import read_npz, write_csv, write_npz
from hipoa.imaging.attenuation import make_curve
from hipoa.imaging.body import find_body
from hipoa.imaging.geometry import Projection, XrayGeometry
from hipoa.imaging.hips import HipCentres
from hipoa.imaging.labels import locate_by_labels
from hipoa.imaging.landmarks import locate_by_landmarks
from hipoa.imaging.locator import locate
from hipoa.imaging.quality import COLUMNS as QUALITY_COLUMNS
from hipoa.imaging.quality import describe_hip
from hipoa.imaging.render import project_hip
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.volume import Volume, find_volumes
from hipoa.provenance import code_hash
from hipoa.tables import SIDES, Case, assign_cohorts, fingerprint, hip_id, read_cases, read_grades, shard_of

COLUMNS = (
    *("hip_id", "case_id", "patient_id", "side", "sex", "age", "scanner", "status", "reason"),
    *QUALITY_COLUMNS,
    "seconds",
)

Row = dict[str, object]
Result = tuple[dict[str, Row], dict[str, Projection]]
"""By side: what is known of the hip, and its image where there is one."""


@dataclass(frozen=True)
class Scan:
    """A CT whose hips have been looked for.

    Attributes:
        volume: The CT.
        body: bool (i, j, k), the patient without the table.
        centres: Of the hips.
    """

    volume: Volume
    body: np.ndarray
    centres: HipCentres


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
    """
    rows: list[Row] = []
    images: dict[str, Projection] = {}
    for case in select_cases(cases, grades, cohort, shard, shards):
        of_side, projections = _project_cached(case, settings, cache)
        rows += [{**_name(case, side), **of_side[side]} for side in SIDES]
        images |= {hip_id(case.case_id, side): image for side, image in projections.items()}
        statuses = ", ".join(f"{side} {of_side[side]['status']}" for side in SIDES)
        print(f"{case.case_id}: {statuses}", file=sys.stderr, flush=True)
    write_npz(stack, stack_images(images, settings.detector_px))
    write_csv(out, COLUMNS, rows)


def select_cases(cases: Path, grades: Path | None, cohort: str, shard: int, shards: int) -> list[Case]:
    """The cases of a shard of a cohort; of the whole table if ``shards`` is 0."""
    table = read_cases(cases)
    if shards == 0:
        return table
    readings = read_grades(grades) if grades else []
    of_cohort = assign_cohorts(table, readings, (grades or cases).name)[cohort]
    return [case for case in of_cohort if shard_of(case.case_id, shards) == shard]


def project_case(case: Case, settings: ProjectSettings) -> Result:
    """Projects both hips of a CT; a fault of the CT becomes the hips' reason."""
    excluded: Row = {"status": "excluded", "reason": "left out in the table of cases"}
    rows: dict[str, Row] = {side: excluded for side in SIDES if side in case.exclude}
    images: dict[str, Projection] = {}
    wanted = [side for side in SIDES if side not in rows]
    if not wanted:
        return rows, images
    try:
        scan = examine(case.ct, case.labels, case.landmarks, settings, case.series)
    except HipoaError as error:
        return rows | {side: _refuse(error) for side in wanted}, images
    for side in wanted:
        try:
            rows[side], images[side] = project_side(scan, side, settings)
        except HipoaError as error:
            rows[side] = _refuse(error)
    return rows, images


def _refuse(error: HipoaError) -> Row:
    # Without the file's name, which may be a person's.
    return {"status": "refused", "reason": f"{error.found}. {error.do}"}


def examine(
    ct: Path,
    labels: Path | None,
    landmarks: Path | None,
    settings: ProjectSettings,
    series: int | None = None,
) -> Scan:
    """Reads a CT and finds its hips: by landmarks, else by labels, else by the locator.

    Of several CT series in a folder the first that shows both hips is taken, else the one that shows more;
    the longest is looked at first.

    Raises:
        CtError: It cannot be read, or the landmarks or labels cannot be used.
    """
    best: Scan | None = None
    faults: list[CtError] = []
    for number, read in enumerate(find_volumes(ct, series)):
        try:
            scan = _look(read(), labels, landmarks, settings)
        except CtError as error:
            faults.append(error)
            continue
        if best is None or _count_shown(scan) > _count_shown(best):
            note = f"{number} longer CT series set aside: unusable or with fewer hips"
            best = _warn(scan, note) if number else scan
        if _count_shown(best) == len(SIDES):
            break
    if best is None:
        raise faults[0]
    return best


def _count_shown(scan: Scan) -> int:
    return sum(scan.volume.contains(np.array(hip.centre_ras_mm)) for hip in scan.centres.hips.values())


def _warn(scan: Scan, note: str) -> Scan:
    return replace(scan, volume=replace(scan.volume, warnings=(*scan.volume.warnings, note)))


def _look(volume: Volume, labels: Path | None, landmarks: Path | None, settings: ProjectSettings) -> Scan:
    body = find_body(volume)
    if landmarks is not None:
        centres = locate_by_landmarks(landmarks)
    elif labels is not None:
        centres = locate_by_labels(labels, settings.label_ids)
    else:
        centres = locate(volume, body, settings.locator_confidence)
    return Scan(volume, body, centres)


def project_side(scan: Scan, side: str, settings: ProjectSettings) -> tuple[Row, Projection]:
    """The row and the image of one hip.

    Raises:
        CtError: The hip was not found, or lies outside the CT.
    """
    if side in scan.centres.missing:
        raise CtError(side, scan.centres.missing[side], "Mark it by landmarks or labels, or exclude it.")
    hip = scan.centres.hips[side]
    centre = np.array(hip.centre_ras_mm)
    if not scan.volume.contains(centre):
        raise CtError(
            side, f"the hip centre of the {hip.method} lies outside the CT", "Check its coordinates."
        )
    geometry = XrayGeometry(
        settings.source_to_detector_mm,
        settings.source_to_hip_mm,
        settings.field_of_view_mm,
        settings.detector_px,
        settings.beam,
        _aim(scan.centres, side) if settings.beam_centre == "pelvis" else (0.0, 0.0),
    )
    curve = make_curve(settings.energy_kev, settings.ct_energy_kev, settings.bone_only)
    image = project_hip(scan.volume, scan.body, centre, geometry, renderer=settings.renderer, curve=curve)
    quality = describe_hip(scan.volume, scan.centres, side, settings)
    return {"status": "ok", "reason": "", **quality}, image


def _aim(centres: HipCentres, side: str) -> tuple[float, float]:
    """How far to the right of the hip and above it the middle of the pelvis lies, mm."""
    hips = np.array([hip.centre_ras_mm for hip in centres.hips.values()])
    right, _, above = hips.mean(0) - centres.hips[side].centre_ras_mm
    return float(right), float(above)


def stack_images(images: dict[str, Projection], detector_px: int) -> dict[str, np.ndarray]:
    """The arrays of the stack: hip_id (n,), line_integral (n, H, W) float32, mm_per_px (n,)."""
    empty = np.zeros((0, detector_px, detector_px), np.float32)
    return {
        "hip_id": np.array(list(images), dtype=np.str_),
        "line_integral": np.stack([image.line_integral for image in images.values()]) if images else empty,
        "mm_per_px": np.array([image.mm_per_px for image in images.values()], dtype=np.float64),
    }


def _name(case: Case, side: str) -> Row:
    return {
        "hip_id": hip_id(case.case_id, side),
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "side": side,
        "sex": case.sex,
        "age": case.age,
        "scanner": case.scanner,
    }


def _project_cached(case: Case, settings: ProjectSettings, cache: Path) -> Result:
    key = _make_key(case, settings)
    path = cache / key[:2] / f"{key}.npz"
    if path.is_file():
        kept = read_npz(path)
        return json.loads(str(kept["rows"])), _unstack(kept)
    started = time.perf_counter()
    rows, images = project_case(case, settings)
    seconds = round(time.perf_counter() - started, 2)
    rows = {side: {**row, "seconds": seconds} for side, row in rows.items()}
    # A refusal is not kept: the next version may read what this one cannot.
    if not any(row["status"] == "refused" for row in rows.values()):
        write_npz(path, {**stack_images(images, settings.detector_px), "rows": np.array(json.dumps(rows))})
    return rows, images


def _unstack(kept: dict[str, np.ndarray]) -> dict[str, Projection]:
    parts: Iterable[Sequence] = zip(
        kept["hip_id"].tolist(), kept["line_integral"], kept["mm_per_px"], strict=True
    )
    return {side: Projection(image, float(mm_per_px)) for side, image, mm_per_px in parts}


def _make_key(case: Case, settings: ProjectSettings) -> str:
    # Who the patient is does not change the image.
    files = fingerprint([replace(case, patient_id="", sex="", age="", scanner="")])
    parts = [files, case.exclude, settings.model_dump(), code_hash("hipoa.imaging.project")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

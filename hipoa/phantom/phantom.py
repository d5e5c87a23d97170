"""The built-in cohort: synthetic CTs with known hip centres and grades."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hipoa.core.constants import SYNTHETIC_SCANNER
from hipoa.core.errors import ConfigError
from hipoa.core.files import write_csv, write_json
from hipoa.core.tables.rows import COHORTS, SIDES, Case, Reading, hip_id, shard_of, write_cases, write_grades
from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import draw_disease, draw_latents, grade_of, stream
from hipoa.phantom.anatomy.hip import Hip, draw_person
from hipoa.phantom.cohort.measure import measure_hip
from hipoa.phantom.cohort.members import PlannedCase, count_patients, plan_cases
from hipoa.phantom.cohort.readers import describe_ceiling, read_case
from hipoa.phantom.cohort.truth import LANDMARK_COLUMNS, TRUTH_COLUMNS, check_hip, describe_hip
from hipoa.phantom.scanner.scanner import (
    ORDERS,
    Position,
    Scanner,
    add_noise,
    add_table,
    draw_pose,
    lay_grid,
    write_dicom,
    write_nifti,
)
from hipoa.phantom.scanner.voxels import render
from hipoa.phantom.settings import PhantomSettings

# Standard deviation in the body; the external cohort is of another hospital, with a noisier scanner.
NOISE_HU, EXTERNAL_NOISE_HU = 9.0, 20.0
_EXTERNAL_SLICE_MM = 3.0
_PRONE_SHARE, _FEET_FIRST_SHARE = 0.05, 0.15  # of the CTs; our choice


def run(
    settings: PhantomSettings,
    *,
    cohort: str,
    shard: int,
    shards: int,
    out: Path,
    grades: Path,
    truth: Path,
    ceiling: Path | None = None,
) -> None:
    """Makes one shard of the built-in cohort: CTs, tables of cases and grades, and the truth.

    Args:
        settings: The cohort, the scanners, the readers.
        cohort: labelled, external or pool.
        shard: Number of the shard.
        shards: Number of shards per cohort.
        out: The table of cases; the CTs are written to ``ct/`` and the hip centres to ``landmarks/``
            beside it.
        grades: The table of readings.
        truth: One row per hip: centre, radius, measured geometry, latent grades.
        ceiling: JSON, the best possible accuracies against the cohort's readings.

    Raises:
        ConfigError: The cohort is unknown, or there is no such shard.
    """
    if cohort not in COHORTS:
        raise ConfigError("phantom", f'cohort "{cohort}" is unknown', f"Use one of {', '.join(COHORTS)}.")
    if not 0 <= shard < shards:
        raise ConfigError("phantom", f"shard {shard} of {shards}", "Shards are numbered from 0.")
    counts = count_patients(settings.population, {name: getattr(settings, name) for name in COHORTS})
    cases, readings, rows = [], [], []
    for planned in plan_cases(counts, settings.population)[cohort]:
        if shard_of(planned.case_id, shards) == shard:
            read = list(read_case(settings, planned, grade_case(settings, planned)))
            case, case_rows = _make_case(settings, planned, read, out.parent)
            cases.append(case)
            readings += read
            rows += case_rows
    write_cases(out, cases)
    write_grades(grades, readings)
    write_csv(truth, TRUTH_COLUMNS, rows)
    if ceiling:
        write_json(ceiling, describe_ceiling(settings, cohort))


def grade_case(settings: PhantomSettings, planned: PlannedCase) -> dict[str, tuple[int, float]]:
    """The true class 1-7 of a case's hips and the severity 0-1 within it, by side."""
    latents = draw_latents(settings.seed, planned.drawn_as, planned.number, planned.visit)
    return {side: grade_of(latents[side], planned.drawn_as, settings.population) for side in SIDES}


def build_case(settings: PhantomSettings, planned: PlannedCase) -> dict[str, Hip]:
    """The hips of a case by side; a patient's size is the same on every visit."""
    person = draw_person(stream(settings.seed, planned.patient_id, "person"))
    hips = {}
    for side, (grade, severity) in grade_case(settings, planned).items():
        # Independent of the visit: the same chance, on a severity that has progressed.
        rng = stream(settings.seed, planned.patient_id, side)
        hips[side] = build_hip(person, draw_disease(rng, grade, severity), rng)
    return hips


def position_case(settings: PhantomSettings, planned: PlannedCase) -> Position:
    """How the patient of a case lies."""
    draws = stream(settings.seed, planned.case_id, "position").random(2).tolist()
    return Position(draws[0] < _PRONE_SHARE, draws[1] < _FEET_FIRST_SHARE)


def scanner_of(settings: PhantomSettings, cohort: str) -> Scanner:
    """The scanner of a cohort."""
    if cohort == "external":
        r_mm, a_mm, s_mm = settings.spacing_mm
        return Scanner(
            f"{SYNTHETIC_SCANNER}B", (r_mm, a_mm, max(s_mm, _EXTERNAL_SLICE_MM)), EXTERNAL_NOISE_HU
        )
    return Scanner(f"{SYNTHETIC_SCANNER}A", settings.spacing_mm, NOISE_HU)


def scan(
    settings: PhantomSettings, planned: PlannedCase, hips: dict[str, Hip]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The CT of a case.

    Returns:
        (I, J, K) int16 HU with axes along R, A, S; its affine (4, 4); the patient's pose (4, 4) in RAS.
    """
    rng = stream(settings.seed, planned.case_id, "scan")
    pose = draw_pose(rng)
    scanner = scanner_of(settings, planned.cohort)
    prone = position_case(settings, planned).prone
    grid, ras_from_ijk = lay_grid(scanner.spacing_mm, pose, prone=prone)
    hu = render(grid, hips, dict(planned.implants), rng)
    add_table(hu, ras_from_ijk, prone=prone)
    return add_noise(hu, scanner.noise_hu, rng), ras_from_ijk, pose


def _make_case(
    settings: PhantomSettings, planned: PlannedCase, readings: list[Reading], folder: Path
) -> tuple[Case, list[dict[str, object]]]:
    """Writes a CT and its landmarks; its row of the table of cases and its rows of the truth."""
    hips = build_case(settings, planned)
    hu, ras_from_ijk, pose = scan(settings, planned, hips)
    ct = folder / "ct" / planned.case_id
    if settings.format == "dicom":
        write_dicom(ct, hu, ras_from_ijk, position_case(settings, planned))
    else:
        ct = ct.with_name(f"{ct.name}.nii.gz")
        order = ORDERS[stream(settings.seed, planned.case_id, "order").integers(len(ORDERS))]
        write_nifti(ct, hu, ras_from_ijk, order)
    rows = [_describe(planned, side, hips[side], pose, readings) for side in SIDES]
    landmarks = folder / "landmarks" / f"{planned.case_id}.csv"
    centres = ({name: row[name] for name in LANDMARK_COLUMNS[1:]} for row in rows)
    write_csv(landmarks, LANDMARK_COLUMNS, ({"side": s, **c} for s, c in zip(SIDES, centres, strict=True)))
    person = hips["L"].person
    case = Case(
        case_id=planned.case_id,
        patient_id=planned.patient_id,
        ct=ct,
        external=planned.cohort == "external",
        landmarks=landmarks if settings.with_landmarks else None,
        sex=person.sex,
        age=str(person.age + planned.visit),
        scanner=scanner_of(settings, planned.cohort).name,
    )
    return case, rows


def _describe(
    planned: PlannedCase, side: str, hip: Hip, pose: np.ndarray, readings: list[Reading]
) -> dict[str, object]:
    name, measured = hip_id(planned.case_id, side), measure_hip(hip)
    check_hip(hip, measured, name)
    to_ras = pose @ np.diag([1 if side == "R" else -1, 1, 1, 1])
    of_side = {reading.reader: reading for reading in readings if reading.side == side}
    return {
        "hip_id": name,
        **describe_hip(hip, measured, to_ras, dict(planned.implants).get(side, ""), of_side),
    }

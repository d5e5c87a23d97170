"""The built-in cohort: synthetic CTs with known hip centres and grades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.errors import ConfigError
from hipoa.core.files import write_csv, write_json
from hipoa.core.tables.rows import COHORTS, SIDES, Case, Reading, hip_id, shard_of, write_cases, write_grades
from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import (
    CLASSES,
    SHARES_OF_POPULATION,
    draw_disease,
    draw_latents,
    error_for,
    find_ceiling,
    grade_of,
    read_hip,
    stream,
)
from hipoa.phantom.anatomy.hip import Hip, draw_person
from hipoa.phantom.cohort.measure import measure_hip
from hipoa.phantom.cohort.members import PlannedCase, count_patients, plan_cases
from hipoa.phantom.cohort.truth import LANDMARK_COLUMNS, READERS, TRUTH_COLUMNS, check_hip, describe_hip
from hipoa.phantom.scanner.scanner import (
    ORDERS,
    Position,
    Scanner,
    add_noise,
    add_table,
    draw_pose,
    draw_position,
    lay_grid,
    write_ct,
    write_dicom,
)
from hipoa.phantom.scanner.voxels import render
from hipoa.phantom.settings import PhantomSettings

# Standard deviation in the body; the external cohort is of another hospital, with a noisier scanner.
NOISE_HU, EXTERNAL_NOISE_HU = 9.0, 20.0
_EXTERNAL_SLICE_MM = 3.0


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
        ceiling: JSON, the best accuracies that are possible against the cohort's readings.

    Raises:
        ConfigError: An unknown cohort, or a shard that there is not.
    """
    if cohort not in COHORTS:
        raise ConfigError("phantom", f'cohort "{cohort}" is unknown', f"Use one of {', '.join(COHORTS)}.")
    if not 0 <= shard < shards:
        raise ConfigError("phantom", f"shard {shard} of {shards}", "Shards are numbered from 0.")
    counts = count_patients(settings.population, {name: getattr(settings, name) for name in COHORTS})
    of_cohort = plan_cases(counts, settings.population)[cohort]
    plan = [case for case in of_cohort if shard_of(case.case_id, shards) == shard]
    cases, readings, rows = [], [], []
    for planned in plan:
        case, case_rows = _make_case(settings, planned, out.parent)
        cases.append(case)
        rows += case_rows
        readings += list(_read(settings, planned))
    write_cases(out, cases)
    write_grades(grades, readings)
    write_csv(truth, TRUTH_COLUMNS, rows)
    if ceiling:
        write_json(ceiling, describe_ceiling(settings, cohort))


def describe_ceiling(settings: PhantomSettings, cohort: str) -> dict[str, object]:
    """The best expected ECA and ONCA against a cohort's labels, by the label rule that makes them.

    Undated readings have no latest one, so there are two rules. The readers' classes are the
    staircase: with another class table these figures do not hold.
    """
    error = _reader_error(settings)
    share = SHARES_OF_POPULATION[settings.population][cohort]
    best = {rule: find_ceiling(error, share, n) for rule, n in {"first": 1, "median": len(READERS)}.items()}
    return {
        "cohort": cohort,
        "reader_kappa": settings.reader_kappa,
        "class_table": CLASSES,
        "best": {rule: {"ECA": found.eca, "ONCA": found.onca} for rule, found in best.items()},
    }


def build_case(settings: PhantomSettings, planned: PlannedCase) -> dict[str, Hip]:
    """The hips of a planned case by side; a patient's size is the same on every visit."""
    person = draw_person(stream(settings.seed, planned.patient_id, "person"))
    hips = {}
    for side in SIDES:
        grade, severity = grade_case(settings, planned)[side]
        # The visit does not count: the same chance, on a severity that has moved on.
        rng = stream(settings.seed, planned.patient_id, side)
        hips[side] = build_hip(person, draw_disease(rng, grade, severity), rng)
    return hips


def grade_case(settings: PhantomSettings, planned: PlannedCase) -> dict[str, tuple[int, float]]:
    """The true class 1-7 and the place within it of a planned case's hips, by side."""
    latents = draw_latents(settings.seed, planned.drawn_as, planned.number, planned.visit)
    return {side: grade_of(latents[side], planned.drawn_as, settings.population) for side in SIDES}


def _reader_error(settings: PhantomSettings) -> float:
    # The readers are the same ones in every cohort; their kappa is that of the labelled one.
    return error_for(settings.reader_kappa, SHARES_OF_POPULATION[settings.population]["labelled"])


def position_case(settings: PhantomSettings, planned: PlannedCase) -> Position:
    """How the patient of a case lies."""
    return draw_position(stream(settings.seed, planned.case_id, "position"))


def scan(
    settings: PhantomSettings, planned: PlannedCase, hips: dict[str, Hip]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The CT of a case.

    Returns:
        (I, J, K) int16 HU with axes along R, A, S; its affine (4, 4); the patient's pose (4, 4) in RAS.
    """
    rng = stream(settings.seed, planned.case_id, "scan")
    pose = draw_pose(rng)
    scanner = _scanner(settings, planned.cohort)
    prone = position_case(settings, planned).prone
    grid, ras_from_ijk = lay_grid(scanner, pose, prone=prone)
    hu = render(grid, hips, dict(planned.implants), rng)
    add_table(hu, ras_from_ijk, prone=prone)
    return add_noise(hu, scanner.noise_hu, rng), ras_from_ijk, pose


def _scanner(settings: PhantomSettings, cohort: str) -> Scanner:
    if cohort == "external":
        r_mm, a_mm, s_mm = settings.spacing_mm
        return Scanner("phantom B", (r_mm, a_mm, max(s_mm, _EXTERNAL_SLICE_MM)), EXTERNAL_NOISE_HU)
    return Scanner("phantom A", settings.spacing_mm, NOISE_HU)


def _make_case(
    settings: PhantomSettings, planned: PlannedCase, folder: Path
) -> tuple[Case, list[dict[str, object]]]:
    hips = build_case(settings, planned)
    hu, ras_from_ijk, pose = scan(settings, planned, hips)
    if settings.format == "dicom":
        ct = folder / "ct" / planned.case_id
        write_dicom(ct, hu, ras_from_ijk, position_case(settings, planned))
    else:
        ct = folder / "ct" / f"{planned.case_id}.nii.gz"
        order = ORDERS[stream(settings.seed, planned.case_id, "order").integers(len(ORDERS))]
        write_ct(ct, hu, ras_from_ijk, order)
    rows = [_truth_row(settings, planned, side, hips[side], pose) for side in SIDES]
    landmarks = folder / "landmarks" / f"{planned.case_id}.csv"
    points = [{name: row[name] for name in LANDMARK_COLUMNS[1:]} for row in rows]
    write_csv(landmarks, LANDMARK_COLUMNS, ({"side": s, **p} for s, p in zip(SIDES, points, strict=True)))
    person = hips["L"].person
    case = Case(
        case_id=planned.case_id,
        patient_id=planned.patient_id,
        ct=ct,
        external=planned.cohort == "external",
        landmarks=landmarks if settings.with_landmarks else None,
        sex=person.sex,
        age=str(person.age + planned.visit),
        scanner=_scanner(settings, planned.cohort).name,
    )
    return case, rows


def _truth_row(
    settings: PhantomSettings, planned: PlannedCase, side: str, hip: Hip, pose: np.ndarray
) -> dict[str, object]:
    name = hip_id(planned.case_id, side)
    measured = measure_hip(hip)
    check_hip(hip, measured, name)
    to_ras = pose @ np.diag([1 if side == "R" else -1, 1, 1, 1])
    readings = {reading.reader: reading for reading in _read(settings, planned) if reading.side == side}
    implant = dict(planned.implants).get(side, "")
    return {"hip_id": name, **describe_hip(hip, measured, to_ras, implant, readings)}


def _read(settings: PhantomSettings, planned: PlannedCase) -> Iterator[Reading]:
    if planned.cohort == "pool":
        return
    error = _reader_error(settings)
    for side, (grade, _) in grade_case(settings, planned).items():
        for reader in READERS:
            rng = stream(settings.seed, hip_id(planned.case_id, side), f"reader {reader}")
            crowe, kl = read_hip(rng, grade, error)
            if side not in planned.ungraded:
                yield Reading(planned.case_id, side, crowe, kl, reader)

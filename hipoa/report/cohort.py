"""The tables of hips as figures and report need them, and the words for a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hipoa.core.columns import read_columns
from hipoa.core.constants import ROMAN, SYNTHETIC_SCANNER
from hipoa.core.errors import CohortError
from hipoa.core.tables.rows import COHORTS
from hipoa.report.scores import count_words


class Hip(NamedTuple):
    """One row of ``R/hips/{cohort}.csv``; cells are text, empty where they do not apply."""

    hip_id: str
    case_id: str
    patient_id: str
    side: str
    sex: str
    age: str
    scanner: str
    status: str
    reason: str
    method: str
    confidence: str
    radius_mm: str
    implant: str
    cut: str
    spacing_r_mm: str
    spacing_a_mm: str
    spacing_s_mm: str
    tilt_deg: str
    turn_deg: str
    warnings: str
    step_mm: str
    manufacturer: str
    model: str
    kernel_kind: str
    kv: str
    head_x_mm: str
    head_y_mm: str
    renderer: str
    mm_per_px: str
    mirrored: str
    crowe: str
    kl: str
    grade: str
    off_table: str
    n_readings: str
    cohort: str

    @property
    def voxel_mm(self) -> float | None:
        """The longest side of the CT's voxels, None where it is not known."""
        sides = (self.spacing_r_mm, self.spacing_a_mm, self.spacing_s_mm)
        return max(map(float, sides)) if all(sides) else None


def read_hips(paths: Iterable[Path]) -> list[Hip]:
    """Reads the tables of hips, in the order of the cohorts.

    Raises:
        CohortError: A column is missing, or a hip stands twice.
    """
    hips: list[Hip] = []
    for path in sorted(paths, key=order_cohorts):
        columns = read_columns(path, Hip._fields)
        hips += map(Hip._make, zip(*(columns[name].tolist() for name in Hip._fields), strict=True))
    names = {hip.hip_id for hip in hips}
    if len(names) < len(hips):
        raise CohortError("hips", f"{len(hips) - len(names)} hips stand twice", "Make the tables again.")
    return hips


def order_cohorts(cohort: str | Path) -> tuple[int, str]:
    """A key that sorts cohorts, or files named after them: labelled, external, pool."""
    name = Path(cohort).stem
    return (COHORTS.index(name) if name in COHORTS else len(COHORTS), name)


def is_synthetic(hips: Sequence[Hip]) -> bool:
    """Whether hips of the built-in cohort are among them."""
    return any(hip.scanner.startswith(SYNTHETIC_SCANNER) for hip in hips)


def describe_classes(hips: Iterable[Hip]) -> dict[int, str]:
    """What each class means in this study, as its graded hips show it, such as "Crowe I, KL 0-1".

    A class without graded hips is left out: nothing here says what it means.
    """
    pairs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for hip in hips:
        if hip.grade and hip.crowe and hip.kl:
            pairs[int(hip.grade)].append((round(float(hip.crowe)), round(float(hip.kl))))
    return {
        grade: f"Crowe {_span([ROMAN.get(crowe, str(crowe)) for crowe, _ in sorted(set(seen))])}, "
        f"KL {_span([str(kl) for kl in sorted({kl for _, kl in seen})])}"
        for grade, seen in sorted(pairs.items())
    }


def _span(values: Sequence[str]) -> str:
    return values[0] if values[0] == values[-1] else f"{values[0]}\N{EN DASH}{values[-1]}"


def split_cohorts(hips: Iterable[Hip]) -> dict[str, list[Hip]]:
    """The hips of each cohort, cohorts in order of their first hip."""
    cohorts: dict[str, list[Hip]] = {}
    for hip in hips:
        cohorts.setdefault(hip.cohort, []).append(hip)
    return cohorts


def count_units(hips: Sequence[Hip]) -> str:
    """Such as "51 hips of 24 patients", or where one has several CTs "51 hips in 26 CTs of 24 patients"."""
    n_patients, n_cts = (len({getattr(hip, name) for hip in hips}) for name in ("patient_id", "case_id"))
    cts = f" in {count_words(n_cts, 'CT')}" if n_cts > n_patients else ""
    return f"{count_words(len(hips), 'hip')}{cts} of {count_words(n_patients, 'patient')}"


def find_predicted(uncertainty: Sequence[Path]) -> set[str]:
    """The graded hips that every experiment predicted."""
    graded = [set(read_columns(path, ("hip_id", "grade"), filled="grade")["hip_id"]) for path in uncertainty]
    return set.intersection(*graded) if graded else set()

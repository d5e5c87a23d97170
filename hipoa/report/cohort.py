"""The hips of the study as figures and report need them: rows, radiographs, the words for a class."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hipoa.core.columns import read_columns
from hipoa.core.errors import CohortError
from hipoa.core.tables.rows import COHORTS

_ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV"}
_SYNTHETIC_SCANNER = "phantom "


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
    cohort: str


def read_hips(paths: Iterable[Path]) -> list[Hip]:
    """Reads the tables of hips, in the order of the cohorts.

    Raises:
        CohortError: A column is missing, or a hip stands twice.
    """
    hips: list[Hip] = []
    for path in sorted(paths, key=_cohort_order):
        columns = read_columns(path, Hip._fields)
        hips += map(Hip._make, zip(*(columns[name].tolist() for name in Hip._fields), strict=True))
    names = {hip.hip_id for hip in hips}
    if len(names) < len(hips):
        raise CohortError("hips", f"{len(hips) - len(names)} hips stand twice", "Make the tables again.")
    return hips


def _cohort_order(path: Path) -> tuple[int, str]:
    return (COHORTS.index(path.stem) if path.stem in COHORTS else len(COHORTS), path.stem)


def read_radiographs(paths: Iterable[Path], wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads single radiographs out of the stacks, one image in memory at a time.

    Args:
        paths: The files ``R/hips/{cohort}.npz``.
        wanted: Names of hips; those that have no radiograph are left out of the result.

    Returns:
        Hip to (150, 150) uint8.
    """
    return dict(stream_radiographs(paths, wanted))


def stream_radiographs(paths: Iterable[Path], wanted: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The same one by one, in the order of the cohorts and of their tables."""
    names = set(wanted)
    for path in sorted(paths, key=_cohort_order):
        yield from _stream_stack(path, names)


def _stream_stack(path: Path, wanted: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as archive:
        hip_id = archive["hip_id"].tolist()
    if not wanted.intersection(hip_id):
        return
    # A pool of 100 000 hips is 2 GB of pixels, of which a report shows a hundred images.
    with zipfile.ZipFile(path) as archive, archive.open("radiograph.npy") as file:
        np.lib.format.read_magic(file)
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        if fortran_order or dtype != np.uint8 or shape[0] != len(hip_id):
            raise CohortError(path.name, f"radiographs are {dtype} {shape}", "Make the stack of hips again.")
        for name in hip_id:
            pixels = file.read(shape[1] * shape[2])
            if name in wanted:
                yield name, np.frombuffer(pixels, dtype).reshape(shape[1:])


def is_synthetic(hips: Sequence[Hip]) -> bool:
    """Whether hips of the built-in cohort are among them; its scanners are named phantom A, B."""
    return any(hip.scanner.startswith(_SYNTHETIC_SCANNER) for hip in hips)


def describe_classes(hips: Iterable[Hip]) -> dict[int, str]:
    """What each class means in this study, as its graded hips show it, such as "Crowe I, KL 0-1".

    A class without graded hips is left out: nothing here says what it means.
    """
    pairs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for hip in hips:
        if hip.grade and hip.crowe and hip.kl:
            pairs[int(hip.grade)].append((round(float(hip.crowe)), round(float(hip.kl))))
    return {
        grade: f"Crowe {_span([_ROMAN.get(crowe, str(crowe)) for crowe, _ in sorted(set(seen))])}, "
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


def find_predicted(uncertainty: Sequence[Path]) -> set[str]:
    """The graded hips that every experiment predicted."""
    graded = [set(read_columns(path, ("hip_id", "grade"), filled="grade")["hip_id"]) for path in uncertainty]
    return set.intersection(*graded) if graded else set()

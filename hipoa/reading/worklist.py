"""The hips to read, in the order of the list, and where their images lie: all that a request can name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, read_json
from hipoa.core.tables.rows import COHORTS, SIDES
from hipoa.grading.settings import STAIRCASE, ClassTable
from hipoa.reading.images import ImageFile

_SYNTHETIC_SCANNER = "phantom "
_CLASSES = range(1, 8)


@dataclass(frozen=True)
class Hip:
    """One hip that can be shown.

    Attributes:
        hip_id: Its name.
        case_id: The pseudonym of its CT.
        patient: The pseudonym of its patient, which never leaves the server.
        side: L or R of the patient.
        synthetic: It is of the built-in cohort.
        images: hip, other (the other side) and pelvis, as far as there are.
        predicted: What the list says the models see, for after the reading.
    """

    hip_id: str
    case_id: str
    patient: str
    side: str
    synthetic: bool
    images: Mapping[str, ImageFile] = field(repr=False)
    predicted: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Reference:
    """A graded hip that shows what a class looks like.

    Attributes:
        hip: The hip.
        grade: Class 1-7.
        crowe: 1-4.
        kl: 0-4.
        readers: Readers who gave it this class; 1 where nobody else read it.
    """

    hip: Hip
    grade: int
    crowe: str
    kl: str
    readers: int


@dataclass(frozen=True)
class Worklist:
    """What a study puts before its readers.

    Attributes:
        hips: Those to be read, in order.
        by_id: Every hip that has an image, listed or not.
        references: At most one per class and side.
        without_image: Hips of the list that cannot be shown.
        set_aside: Hips of the list without a rank.
        classes: The pairs of Crowe and KL.
    """

    hips: Sequence[Hip]
    by_id: Mapping[str, Hip]
    references: Sequence[Reference]
    without_image: int
    set_aside: int
    classes: ClassTable

    @cached_property
    def listed(self) -> frozenset[str]:
        """The names of the hips to be read."""
        return frozenset(hip.hip_id for hip in self.hips)


def read_worklist(study: Path, listed: Path) -> Worklist:
    """Reads the list, the tables of hips and the tables of views of a study.

    Args:
        study: Its folder of results.
        listed: A table with hip_id and rank, such as triage.csv.

    Raises:
        CohortError: A table is missing or lacks a column.
    """
    tables = [study / "hips" / f"{cohort}.csv" for cohort in COHORTS]
    rows = [row | {"table": str(path)} for path in tables if path.is_file() for row in read_csv(path)]
    if not rows or not listed.is_file():
        missing = listed.name if rows else "hips/*.csv"
        raise CohortError(f"study {study.name}", f"there is no {missing}", "Run snakemake to its end first.")
    order = read_csv(listed)
    if order and not {"hip_id", "rank"} <= order[0].keys():
        raise CohortError(listed.name, "column hip_id or rank is missing", "Name a list such as triage.csv.")
    by_id = _describe_hips(rows, _read_views(study), {row["hip_id"]: row for row in order})
    ranked = sorted((row for row in order if row["rank"]), key=lambda row: float(row["rank"]))
    shown = [by_id[row["hip_id"]] for row in ranked if row["hip_id"] in by_id]
    return Worklist(
        hips=shown,
        by_id=by_id,
        references=choose_references(rows, by_id),
        without_image=len(ranked) - len(shown),
        set_aside=len(order) - len(ranked),
        classes=_read_classes(study),
    )


def choose_references(rows: Iterable[Mapping[str, str]], by_id: Mapping[str, Hip]) -> list[Reference]:
    """At most one hip per class and side: most readers agreed first, then the fewest warnings, then by name.

    Args:
        rows: Of the tables of hips; those of the external cohort are passed over, to be read by nobody here.
        by_id: The hips that can be shown.
    """
    graded = [
        row
        for row in rows
        if row["hip_id"] in by_id and row["cohort"] == "labelled" and row["grade"] and not row["implant"]
    ]
    agreed = [row for row in graded if set(row["reader_grades"].split()) <= {row["grade"]}]
    chosen = []
    for grade in _CLASSES:
        for side in SIDES:
            of_class = [row for row in agreed if (row["grade"], row["side"]) == (str(grade), side)]
            if of_class:
                best = min(of_class, key=lambda row: (-_n_readers(row), row["warnings"] != "", row["hip_id"]))
                hip = by_id[best["hip_id"]]
                chosen.append(Reference(hip, grade, best["crowe"], best["kl"], _n_readers(best)))
    return chosen


def _n_readers(row: Mapping[str, str]) -> int:
    return max(1, len(row["reader_grades"].split()))


def _read_classes(study: Path) -> ClassTable:
    path = study / "manifest.json"
    hips: dict[str, Any] = read_json(path)["configuration"]["hips"] if path.is_file() else {}
    given = {name: hips[name] for name in ClassTable.model_fields if name in hips}
    return ClassTable.model_validate({"class_table": STAIRCASE, **given})


def _read_views(study: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path in sorted((study / "views").glob("*/*.csv")):
        found |= {row["hip_id"]: row | {"table": str(path)} for row in read_csv(path)}
    return found


def _describe_hips(
    rows: Sequence[Mapping[str, str]],
    views: Mapping[str, Mapping[str, str]],
    order: Mapping[str, Mapping[str, str]],
) -> dict[str, Hip]:
    own = {row["hip_id"]: _own_image(row, views.get(row["hip_id"], {})) for row in rows}
    hips: dict[str, Hip] = {}
    for row in rows:
        name, side = row["hip_id"], row["side"]
        other = own.get(name.removesuffix(side) + ("L" if side == "R" else "R"))
        files = {"hip": own[name], "other": other, "pelvis": _pelvis_image(views.get(name, {}))}
        images = {kind: file for kind, file in files.items() if file is not None}
        if "hip" in images:
            hips[name] = Hip(
                hip_id=name,
                case_id=row["case_id"],
                patient=row["patient_id"],
                side=side,
                synthetic=row["scanner"].startswith(_SYNTHETIC_SCANNER),
                images=images,
                predicted=order.get(name, {}),
            )
    return hips


def _own_image(row: Mapping[str, str], view: Mapping[str, str]) -> ImageFile | None:
    """The fine view of a hip, or else the radiograph that the networks see, turned as the patient is."""
    if view.get("png"):
        path = Path(view["table"]).parent / view["png"]
        head = tuple(float(view[name] or "nan") for name in ("head_x_px", "head_y_px", "head_radius_px"))
        return _if_there(ImageFile(path, "view", row["side"], False, float(view["mm_per_px"]), head))
    if row["status"] != "ok" or not row["png"]:
        return None
    path = Path(row["table"]).parent / row["png"]
    mirrored = row["mirrored"] == "yes"
    return _if_there(ImageFile(path, "radiograph", row["side"], mirrored, float(row["mm_per_px"])))


def _pelvis_image(view: Mapping[str, str]) -> ImageFile | None:
    if not view.get("pelvis_png"):
        return None
    path = Path(view["table"]).parent / view["pelvis_png"]
    x, y = (float(view[f"pelvis_head_{axis}_px"] or "nan") for axis in "xy")
    scale = float(view["pelvis_mm_per_px"])
    return _if_there(ImageFile(path, "view", "both", False, scale, (x, y, float("nan"))))


def _if_there(file: ImageFile) -> ImageFile | None:
    return file if file.path.is_file() else None

"""The hips to read, in the order of the list, and where their images lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hipoa.core.constants import SYNTHETIC_SCANNER
from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, read_json
from hipoa.core.tables.rows import COHORTS
from hipoa.grading.settings import HipsSettings
from hipoa.reading.images import ImageFile


@dataclass(frozen=True)
class Hip:
    """One hip that can be shown."""

    hip_id: str  # its name
    case_id: str  # the pseudonym of its CT
    patient: str  # the pseudonym of its patient; never sent to the page
    side: str  # L or R of the patient
    synthetic: bool  # it is of the built-in cohort
    # hip, other (the other side) and pelvis, where there are any.
    images: Mapping[str, ImageFile] = field(repr=False)
    # Its row of the list, with the model's class.
    predicted: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Reference:
    """A graded hip that shows what a class looks like, and how many readers gave it this class."""

    hip: Hip
    grade: int
    crowe: str
    kl: str
    readers: int


@dataclass(frozen=True)
class Worklist:
    """The hips of a study that are to be read."""

    hips: Sequence[Hip]  # in the order of the list
    by_id: Mapping[str, Hip]  # every hip that has an image, listed or not
    references: Sequence[Reference]  # at most one per class and side
    without_image: int  # hips of the list that cannot be shown
    set_aside: int  # hips of the list without a rank
    classes: HipsSettings  # the pairs of Crowe and KL, and what becomes of others


def read_worklist(study: Path, listed: Path) -> Worklist:
    """Reads the list, the tables of hips and the tables of views of a study.

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
        classes=read_rule(study),
    )


def choose_references(rows: Iterable[Mapping[str, str]], by_id: Mapping[str, Hip]) -> list[Reference]:
    """At most one hip per class and side: most readers agreed first, then the fewest warnings, then by name.

    The external cohort is left out, since it may yet be read blind.
    """
    agreed = [
        row
        for row in rows
        if row["hip_id"] in by_id
        and row["cohort"] == "labelled"
        and row["grade"]
        and not row["implant"]
        and set(row["reader_grades"].split()) <= {row["grade"]}
    ]
    best: dict[tuple[str, str], Mapping[str, str]] = {}
    for row in sorted(agreed, key=lambda row: (-_count_readers(row), row["warnings"] != "", row["hip_id"])):
        best.setdefault((row["grade"], row["side"]), row)
    return [
        Reference(by_id[row["hip_id"]], int(grade), row["crowe"], row["kl"], _count_readers(row))
        for (grade, _), row in sorted(best.items())
    ]


def _count_readers(row: Mapping[str, str]) -> int:
    return max(1, len(row["reader_grades"].split()))


def read_rule(study: Path) -> HipsSettings:
    """The class table and the label rule of a study's last run."""
    path = study / "manifest.json"
    hips: dict[str, Any] = read_json(path)["configuration"]["hips"] if path.is_file() else {}
    given = {name: hips[name] for name in HipsSettings.model_fields if name in hips}
    return HipsSettings.model_validate(given)


def _read_views(study: Path) -> dict[str, dict[str, str]]:
    tables = sorted((study / "views").glob("*/*.csv"))
    return {row["hip_id"]: row | {"table": str(path)} for path in tables for row in read_csv(path)}


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
        images = {kind: file for kind, file in files.items() if file and file.path.is_file()}
        if "hip" in images:
            hips[name] = Hip(
                hip_id=name,
                case_id=row["case_id"],
                patient=row["patient_id"],
                side=side,
                synthetic=row["scanner"].startswith(SYNTHETIC_SCANNER),
                images=images,
                predicted=order.get(name, {}),
            )
    return hips


def _own_image(row: Mapping[str, str], view: Mapping[str, str]) -> ImageFile | None:
    """The fine view of a hip, or else the radiograph that the networks see."""
    if view.get("png"):
        head = tuple(float(view[name] or "nan") for name in ("head_x_px", "head_y_px", "head_radius_px"))
        return ImageFile(_beside(view, "png"), "view", row["side"], False, float(view["mm_per_px"]), head)
    if row["status"] != "ok" or not row["png"]:
        return None
    mirrored = row["mirrored"] == "yes"
    return ImageFile(_beside(row, "png"), "radiograph", row["side"], mirrored, float(row["mm_per_px"]))


def _pelvis_image(view: Mapping[str, str]) -> ImageFile | None:
    if not view.get("pelvis_png"):
        return None
    x, y = (float(view[f"pelvis_head_{axis}_px"] or "nan") for axis in "xy")
    scale = float(view["pelvis_mm_per_px"])
    return ImageFile(_beside(view, "pelvis_png"), "view", "both", False, scale, (x, y, math.nan))


def _beside(row: Mapping[str, str], column: str) -> Path:
    """A path in a table is relative to the table."""
    return Path(row["table"]).parent / row[column]

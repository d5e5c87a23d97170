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

_UNKNOWN_ORDER = "another CT of this patient (which is earlier is not known)"


@dataclass(frozen=True)
class OnDemand:
    """An image that is shown beside a hip when the reader asks for it."""

    file: ImageFile
    caption: str
    apart_mm: float | None = None  # of CT slices, from one to the next, mm


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
    # slices and other_ct, where there are any.
    on_demand: Mapping[str, OnDemand] = field(default_factory=dict, repr=False)
    # Of the line through both heads, degrees, positive where the right one is higher; None without both.
    tilt_deg: float | None = None
    # Why no run uses its grade, such as an implant; empty where it does.
    left_out: str = ""
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
    caveat: str  # on its order; empty if there is none
    classes: HipsSettings  # the pairs of Crowe and KL, and what happens to others

    def describe(self) -> str:
        """How many hips there are to read, and the caveat on their order."""
        of_list = f"{len(self.hips)} hips to read, {self.set_aside} set aside"
        counts = f"{of_list}, {self.without_image} without an image."
        return f"{counts}\nNote: {self.caveat}." if self.caveat else counts


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
        caveat=next((row.get("caveat", "") for row in ranked), ""),
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
    others = _find_other_cts(rows, {name: file for name, file in own.items() if file})
    hips: dict[str, Hip] = {}
    for row in rows:
        name, side = row["hip_id"], row["side"]
        other = own.get(name.removesuffix(side) + ("L" if side == "R" else "R"))
        files = {"hip": own[name], "other": other, "pelvis": _pelvis_image(views.get(name, {}))}
        images = {kind: file for kind, file in files.items() if file and file.path.is_file()}
        on_demand = {"slices": _slices(views.get(name, {})), "other_ct": others.get(name)}
        if "hip" in images:
            hips[name] = Hip(
                hip_id=name,
                case_id=row["case_id"],
                patient=row["patient_id"],
                side=side,
                synthetic=row["scanner"].startswith(SYNTHETIC_SCANNER),
                images=images,
                on_demand={kind: one for kind, one in on_demand.items() if one and one.file.path.is_file()},
                tilt_deg=float(row["tilt_deg"]) if row.get("tilt_deg") else None,
                left_out="" if row["status"] == "ok" else f"{row['status']}: {row['reason'].rstrip('.')}",
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


def _slices(view: Mapping[str, str]) -> OnDemand | None:
    # A study that was made before there were slices has no such column.
    if not view.get("slices_png"):
        return None
    scale, apart_mm = float(view["slices_mm_per_px"]), float(view["slices_apart_mm"])
    file = ImageFile(_beside(view, "slices_png"), "slices", view["side"], False, scale)
    return OnDemand(file, "CT slices through the head", apart_mm)


def _find_other_cts(rows: Sequence[Mapping[str, str]], own: Mapping[str, ImageFile]) -> dict[str, OnDemand]:
    """By hip the same hip in another CT of the patient: the last earlier one, else one of unknown order.

    No table has the date of a CT; by the patient's age in years some are known to be earlier. A later one is
    not shown: a hip is graded as it was.
    """
    same: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        if row["hip_id"] in own:
            same.setdefault((row["patient_id"], row["side"]), []).append(row)
    found: dict[str, OnDemand] = {}
    for hips in same.values():
        for row in hips:
            others = [(_years_before(one, row), one["hip_id"]) for one in hips if one is not row]
            fitting = [
                (years is None, years or 0, name) for years, name in others if years is None or years > 0
            ]
            if fitting:
                unknown, years, name = min(fitting)
                caption = (
                    _UNKNOWN_ORDER
                    if unknown
                    else f"earlier CT (by age, about {years} year{'s' * (years > 1)} before)"
                )
                found[row["hip_id"]] = OnDemand(own[name], caption)
    return found


def _years_before(one: Mapping[str, str], other: Mapping[str, str]) -> int | None:
    """How many years before the other a CT was made, by the patient's age; None if that does not tell."""
    ages = one.get("age", ""), other.get("age", "")
    return int(ages[1]) - int(ages[0]) or None if all(map(str.isdecimal, ages)) else None


def _beside(row: Mapping[str, str], column: str) -> Path:
    """A path in a table is relative to the table."""
    return Path(row["table"]).parent / row[column]

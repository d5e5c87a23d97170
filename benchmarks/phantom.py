"""What the synthetic patients are worth: built as drawn, no short way to the grades, and a ceiling.

    python benchmarks/phantom.py [--hips 200] [--results results/study] [--json FILE]

builds random hips and measures them; with the folder of a finished study on the built-in cohort it also says
what making it took, what its radiographs show, what gives its grades away and how near networks come to the
ceiling.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hipoa.imaging.settings import ProjectSettings
from hipoa.phantom.anatomy.bones import Symmetric, Without
from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import draw_disease, stream
from hipoa.phantom.anatomy.hip import Hip, draw_person
from hipoa.phantom.anatomy.solids import Grid, Solid
from hipoa.phantom.cohort.measure import measure_hip
from hipoa.phantom.cohort.truth import find_faults

COHORTS = ("labelled", "external", "pool")
GEOMETRY = (
    *("joint_space_mm", "osteophyte_mm", "plate_factor", "sclerosis_hu", "cysts"),
    *("flattening", "height", "lateral_mm", "centre_edge_deg"),
)
_STEP_MM, _SACRUM_STEP_MM = 1.5, 2.0
_REACH_MM = np.array([60.0, 70.0, 120.0])
_PATCH_PX, _POOLED_PX = 16, 4
_CORNERS = {"head lateral": (0, 0), "head medial": (0, 1), "foot lateral": (1, 0), "foot medial": (1, 1)}

Rows = list[dict[str, str]]


def overlap_mm(a: Solid, b: Solid, low: np.ndarray, high: np.ndarray, step_mm: float) -> float:
    """How deep two solids reach into each other within a box, mm; negative: how far apart they stay."""
    points = Grid.of_box(low, high, step_mm).points()
    return float(np.minimum(-a.distance(points), -b.distance(points)).max())


class _Part:
    """A bone of a built hip as a solid."""

    def __init__(self, distance) -> None:
        self.distance = distance

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("the caller knows the box")


def measure_overlaps(hip: Hip) -> dict[str, float]:
    """The depth of overlap of femur and hip bone, and of sacrum and hip bone, mm."""
    bones, pelvis = hip.person.bones, _Part(hip.pelvis_distance)
    sacrum = Without(bones.sacrum, [Symmetric(bones.hip_bone)])
    low, high = sacrum.bounds()
    low[0] = 0
    box = hip.head - _REACH_MM, hip.head + _REACH_MM * [1, 1, 0.5]
    return {
        "femur_overlap_mm": overlap_mm(_Part(hip.femur_distance), pelvis, *box, _STEP_MM),
        "sacrum_overlap_mm": overlap_mm(sacrum, pelvis, low, high, _SACRUM_STEP_MM),
    }


def compare_patient(number: int) -> list[dict[str, object]]:
    """How far the two hips of a random patient are from what was drawn."""
    rng = stream(1, f"random{number}", "geometry")
    person = draw_person(rng)
    rows = []
    for _ in range(2):
        drawn = draw_disease(rng, int(rng.integers(1, 8)), float(rng.random()))
        hip = build_hip(person, drawn, rng)
        found = measure_hip(hip)
        row: dict[str, object] = {
            "grade": drawn.grade,
            "faults": find_faults(hip, found),
            "joint_space_mm": abs(found.joint_space_mm - drawn.joint_space_mm),
            **measure_overlaps(hip),
        }
        if drawn.height is not None:
            height_mm = drawn.height * person.pelvic_height_mm
            row["height_mm"] = abs(found.height * found.pelvic_height_mm - height_mm)
            row["lateral_mm"] = abs(found.lateral_mm - drawn.lateral_mm)
        rows.append(row)
    return rows


def compare_hips(hips: int, processes: int) -> dict[str, object]:
    """Overlap, joint space and migration of random hips against what was drawn."""
    with ProcessPoolExecutor(processes) as pool:
        rows = [row for pair in pool.map(compare_patient, range(hips // 2)) for row in pair]

    def worst(name: str) -> float:
        return max(float(str(row[name])) for row in rows if name in row)

    return {
        "hips": len(rows),
        "hips_not_as_drawn": sum(bool(row["faults"]) for row in rows),
        "worst_femur_overlap_mm": worst("femur_overlap_mm"),
        "worst_sacrum_overlap_mm": worst("sacrum_overlap_mm"),
        "worst_joint_space_error_mm": worst("joint_space_mm"),
        "worst_height_error_mm": worst("height_mm"),
        "worst_lateral_error_mm": worst("lateral_mm"),
    }


def read_rows(results: Path, pattern: str) -> Rows:
    """The rows of all tables that fit a pattern."""
    return [row for path in sorted(results.glob(pattern)) for row in csv.DictReader(path.open())]


def sum_cost(results: Path) -> dict[str, float]:
    """What making the CTs took, from Snakemake's own benchmarks."""
    rows = [
        next(csv.DictReader(path.open(), delimiter="\t"))
        for path in sorted(results.glob("benchmarks/phantom/*/*.tsv"))
    ]
    return {
        "cpu_seconds": sum(float(row["cpu_time"]) for row in rows),
        "job_seconds": sum(float(row["s"]) for row in rows),
        "peak_rss_mb": max(float(row["max_rss"]) for row in rows),
    }


def reach_px(hip: dict[str, str], truth: dict[str, str], source_to_hip_mm: float) -> float:
    """How far from its middle a radiograph must reach to show head, junction and teardrop, in half sides."""
    middle = np.array([float(hip[f"centre_{axis}_mm"]) for axis in "ras"])
    reach_mm = 0.0
    for point, radius in (("centre", float(truth["radius_mm"])), ("junction", 0.0), ("teardrop", 0.0)):
        x, y, z = np.array([float(truth[f"{point}_{axis}_mm"]) for axis in "ras"]) - middle
        nearer = source_to_hip_mm / (source_to_hip_mm - y)
        reach_mm = max(reach_mm, nearer * (abs(x) + radius), nearer * (abs(z) + radius))
    return reach_mm / (float(hip["mm_per_px"]) * 150 / 2)


def check_field(results: Path) -> dict[str, object]:
    """The share of hips whose landmarks lie within their radiograph."""
    truth = {row["hip_id"]: row for row in read_rows(results, "phantom/*/*.truth.csv")}
    hips = [row for row in read_rows(results, "hips/*.csv") if row["status"] == "ok"]
    source_mm = ProjectSettings.model_validate({}).source_to_hip_mm
    reach = np.array([reach_px(hip, truth[hip["hip_id"]], source_mm) for hip in hips])
    dislocated = np.array([truth[hip["hip_id"]]["crowe"] == "4" for hip in hips])
    return {
        "hips": len(hips),
        "share_inside": float((reach <= 1).mean()),
        "crowe_iv_hips": int(dislocated.sum()),
        "crowe_iv_share_inside": float((reach[dislocated] <= 1).mean()),
        "farthest_in_half_sides": float(reach.max()),
    }


def describe_grey(image: np.ndarray, mm_per_px: float, corner: tuple[int, int]) -> np.ndarray:
    """Mean and spread of grey, noise, field of view and a pooled corner patch of a radiograph (20,)."""
    grey = image.astype(float)
    noise = np.median(np.abs(grey - ndimage.median_filter(grey, 3)))
    rows, columns = (slice(-_PATCH_PX, None) if far else slice(_PATCH_PX) for far in corner)
    side = _PATCH_PX // _POOLED_PX
    pooled = grey[rows, columns].reshape(_POOLED_PX, side, _POOLED_PX, side).mean((1, 3))
    return np.array([grey.mean(), grey.std(), noise, mm_per_px * len(image), *pooled.ravel()])


def predict_out_of_fold(features: np.ndarray, grade: np.ndarray, fold: np.ndarray, *, trees: bool = False):
    """The classes (n,) that a classifier trained on the other folds gives."""
    predicted = np.zeros_like(grade)
    for number in np.unique(fold):
        out = fold == number
        model = (
            HistGradientBoostingClassifier(max_iter=60, random_state=0)
            if trees
            else make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        )
        predicted[out] = model.fit(features[~out], grade[~out]).predict(features[out])
    return predicted


def score(grade: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """ECA and ONCA."""
    away = np.abs(grade - predicted)
    return {"ECA": float((away == 0).mean()), "ONCA": float((away <= 1).mean())}


def read_folds(results: Path) -> dict[str, int]:
    """The fold of each hip in the first repeat."""
    return {row["hip_id"]: int(row["fold"]) for row in read_rows(results, "folds/r0.csv") if row["hip_id"]}


def seek_shortcuts(results: Path) -> dict[str, object]:
    """How well grades are told from what no surgeon would look at, against the best constant answer."""
    fold_of = read_folds(results)
    rows = {row["hip_id"]: row for row in read_rows(results, "hips/labelled.csv")}
    stack = np.load(results / "hips/labelled.npz")
    radiographs = stack["radiograph"]  # read once: each look into the file unpacks all of it
    known = [number for number, hip in enumerate(stack["hip_id"].tolist()) if hip in fold_of]
    names = stack["hip_id"][known].tolist()
    grade = np.array([int(rows[hip]["grade"]) for hip in names])
    fold = np.array([fold_of[hip] for hip in names])
    best = {}
    for corner, at in _CORNERS.items():
        features = np.array(
            [
                describe_grey(radiographs[number], float(rows[hip]["mm_per_px"]), at)
                for number, hip in zip(known, names, strict=True)
            ]
        )
        for trees in (False, True):
            found = predict_out_of_fold(features, grade, fold, trees=trees)
            best[f"{corner}, {'trees' if trees else 'logistic'}"] = score(grade, found)["ECA"]
    constant = float(np.bincount(grade).max() / len(grade))
    return {"hips": len(grade), "constant_ECA": constant, "shortcut_ECA": best}


def near_ceiling(results: Path) -> dict[str, object]:
    """The ceiling, a logistic regression on the measured geometry, and the networks of the study."""
    best = json.loads(next(results.glob("phantom/labelled/*.ceiling.json")).read_text())["best"]["median"]
    truth = {row["hip_id"]: row for row in read_rows(results, "phantom/labelled/*.truth.csv")}
    rows = {row["hip_id"]: row for row in read_rows(results, "hips/labelled.csv")}
    fold_of = read_folds(results)
    grade = np.array([int(rows[hip]["grade"]) for hip in fold_of])
    geometry = np.array([[float(truth[hip][name]) for name in GEOMETRY] for hip in fold_of])
    latent = np.array([int(truth[hip]["grade"]) for hip in fold_of])
    guess = predict_out_of_fold(geometry, grade, np.array(list(fold_of.values())))
    return {
        "ceiling_expected": best,
        "ceiling_of_these_labels": score(grade, latent),
        "geometry_logistic": score(grade, guess),
        **dict(_score_networks(results)),
    }


def _score_networks(results: Path) -> Iterator[tuple[str, dict[str, float]]]:
    for path in sorted(results.glob("uncertainty/*.csv")):
        rows = [row for row in csv.DictReader(path.open()) if row["cohort"] == "labelled" and row["grade"]]
        found = (np.array([int(row[name]) for row in rows]) for name in ("grade", "predicted"))
        yield path.stem, score(*found)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    facts: dict[str, object] = {}
    if arguments.hips:
        facts["geometry"] = compare_hips(arguments.hips, arguments.processes)
    if arguments.results:
        steps = {"cost": sum_cost, "field": check_field, "shortcut": seek_shortcuts, "ceiling": near_ceiling}
        facts |= {name: step(arguments.results) for name, step in steps.items()}
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hips", type=int, default=200, help="random hips to build; 0: none")
    parser.add_argument("--results", type=Path, help="results of a finished study on the built-in cohort")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="for the random hips")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    text = json.dumps(run(arguments), indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
